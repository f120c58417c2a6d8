"""The public faces: a Model that encodes images, and an Encoding that explains targets. No Jupyter here."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, overload
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from . import heads, intervention, lens, patches, reliability, support
from .correction import Correction
from .explanation import Explanation, Layers, chosen_layers, is_flat
from .method import KnobError, Maps, Method, MethodError, catalogue, find
from .models.capture import Tokens, capture, lock_of, plain_arithmetic
from .models.live import fingerprint
from .models.preprocess import Fit, ImageError, Preprocess, View, Window
from .models.text import TextEncoder
from .models.view import UnsupportedModel, ViT
from .support import Prediction, Support
from .target import (
    Aim,
    Aims,
    Class,
    Concept,
    Contrast,
    Direction,
    Target,
    TargetError,
    Text,
    as_target,
    difference,
    find_class,
    sides_of,
)
from .translator import Translators

Progress = Callable[[int, int], None]
Keep = Literal["tokens", "nothing"]
_SCORE_NAMES = {"cos": "cosine", "logit": "logit", "dot": "dot"}
LARGEST = 1 << 36  # bytes of one block's attention of one picture: beyond that the process ends, not the call
_TOGETHER = 1 << 26  # numbers that the targets of one pass may need at once (256 MiB)


class StaleEncoding(ValueError):
    """The model's weights changed after the image was encoded."""


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A ViT ready to explain: its verified view, its text tower or classes, and how pictures become its input.

    Made by :func:`legrad_widget.load` and :func:`legrad_widget.wrap`. The caller's module is never written to.
    """

    vit: ViT
    preprocess: Preprocess
    text: TextEncoder | None = None
    class_names: tuple[str, ...] | None = None
    vocabulary: Any = None
    support_threshold: float | None = None
    layer_reliability: reliability.LayerReliability | None = None
    translators: Translators | None = None
    _concepts: WeakKeyDictionary[Concept, tuple[int, Tensor]] = field(default_factory=WeakKeyDictionary, init=False)

    @property
    def name(self) -> str:
        """How the model is called."""
        return self.vit.name

    @property
    def module(self) -> nn.Module:
        """The caller's model itself."""
        return self.vit.module

    @property
    def lock(self) -> Any:
        """Held while the model runs; shared by every Model of the same vision tower. Re-entrant."""
        return lock_of(self.vit)

    @property
    def kind(self) -> Literal["clip", "classifier", "backbone"]:
        """ "clip" (prompts), "classifier" (classes) or "backbone" (directions only)."""
        if self.vit.classes is not None:
            return "classifier"
        return "clip" if hasattr(self.vit.module, "encode_text") else "backbone"

    @property
    def takes_text(self) -> bool:
        """Whether free prompts can be asked."""
        return self.text is not None

    @property
    def is_sigmoid(self) -> bool:
        """Whether this CLIP was trained with a sigmoid: it has a logit bias."""
        return self.kind == "clip" and getattr(self.vit.module, "logit_bias", None) is not None

    def encode(
        self,
        image: Any,
        *,
        fit: Fit = "squash",
        size: int | tuple[int, int] | None = None,
        keep: Keep = "tokens",
        budget: int = 64 << 20,
    ) -> Encoding:
        """One image through the model's own forward, once; then every target on it costs no vision forward.

        Args:
            image: path, PIL image, bytes, array [H, W, 3] or [H, W] (uint8, or float in [0, 1]), or a preprocessed
                tensor [3, H, W] or [1, 3, H, W], taken as it is.
            fit: how a picture of another shape is shown to the model: "squash" (all of it, aspect lost), "crop"
                (centre), "pad" (letterbox). A tensor has its shape already.
            size: model input in pixels, one side or (height, width), a multiple of the patch size; None: the model's
                own. Another grid interpolates the position embedding for this call.
            keep: what is held between questions. "tokens": what entered every block, about 4 (2L + 1) N D bytes in
                float32 (15 MB for ViT-B/16, 166 MB for ViT-bigG/14), so that a new target costs no vision forward.
                "nothing": the picture, the model input and the features, 3 H W + 4 (3 Hin Win + E) bytes; every call
                of ``explain`` runs the native forward once more, with the same result.
            budget: bytes that values shared by prompts may take on top of the tokens (``Encoding.nbytes`` tells).

        Raises:
            ImageError: the image cannot be read. TypeError: not an image. UnsupportedModel: numbers are not finite.
        """
        if not isinstance(fit, str) or fit not in ("squash", "crop", "pad"):
            arrived = repr(fit) if isinstance(fit, str) else type(fit).__name__
            raise ImageError(f"fit is 'squash', 'crop' or 'pad': encode(image, fit='crop'); arrived: {arrived}")
        if keep not in ("tokens", "nothing"):
            raise ValueError(f"keep is 'tokens' or 'nothing': encode(image, keep='nothing'); arrived: {keep!r}")
        if isinstance(image, Tensor):
            view = self.preprocess.tensor_view(image)
            self._check_size(view.tensor.shape[1:], "the preprocessed tensor")
            if size is not None and self._size(size) != tuple(view.tensor.shape[1:]):
                raise ImageError("a preprocessed tensor is taken as it is; leave out size, or pass a picture")
        else:
            view = self.preprocess.view(image, self._size(size), fit)
        with self.lock:
            weights = fingerprint(self.module)
            tokens, _ = capture(self.vit, view.tensor, budget=budget)
        return Encoding(self, tokens, view, weights, keep=keep)

    def target(self, value: Any) -> Target:
        """A checked target: a class gets both its index and its name, and so do the sides of a contrast.

        Raises:
            TargetError: unknown class, blank prompt, a prompt without a text tower, a vector of another length, a
                contrast of two names for one class.
            TypeError: nothing that can be a target.
        """
        target = as_target(value, classifier=self.kind == "classifier")
        if isinstance(target, Contrast):
            return Contrast(self.target(target.a), self.target(target.b))
        if isinstance(target, Direction) and len(target.vector) != self.vit.features:
            raise TargetError(
                f"a direction for {self.name} has {self.vit.features} numbers; this one has {len(target.vector)}"
            )
        if isinstance(target, Class):
            if self.kind == "backbone":
                raise TargetError(
                    f"{self.name} has no classes; pass a direction [E], or wrap it with head=your_linear_head"
                )
            if self.class_names is None:
                raise TargetError(f"{self.name} has no class names; wrap it with class_names=[...], or use a prompt")
            target = find_class(target, self.class_names)
        if self.text is None and self._is_prompt(target):
            if self.kind == "clip":
                raise TargetError("prompts need a tokenizer: lw.wrap(model, tokenizer=open_clip.get_tokenizer(name))")
            raise TargetError(f"{self.name} has no text tower; ask for a class by name or index, or pass a direction")
        return target

    calibrate_layers = reliability.calibrate_layers

    def reliability_of(self, layers: Sequence[int]) -> tuple[float, ...] | None:
        """What layers count with in ``x.merged(weights="reliability")``; None: the model was not calibrated."""
        known = self.layer_reliability
        return None if known is None else tuple(known.weights[layer - 1] for layer in layers)

    def explore(self, image: Any = None, targets: Any = None, **options: Any) -> Any:
        """The widget on this model; see :func:`legrad_widget.explore`."""
        import legrad_widget

        return legrad_widget.explore(image, targets, model=self, **options)

    def inspect(self, images: Any, labels: Any = None, **options: Any) -> Any:
        """What this model gets wrong, and why; see :func:`legrad_widget.inspect`."""
        import legrad_widget

        return legrad_widget.inspect(self, images, labels, **options)

    def aims(self, targets: Sequence[Target], progress: Progress | None = None) -> list[Aim]:
        """Each target's one vector, prompts encoded together.

        Args:
            targets: checked ones, see :meth:`target`.
            progress: called with (step, total) between the example pictures of a concept that is new to this model.

        Raises:
            TargetError: a concept's picture cannot be read; a contrast's sides have different kinds of scores, or do
                not differ.
        """
        sides = [side for target in targets for side in sides_of(target)]
        prompts = list(dict.fromkeys(_prompts(side) for side in sides if self._is_prompt(side)))
        vectors = dict(zip(prompts, self.text.averages(prompts), strict=True)) if prompts and self.text else {}
        return [self._aim(target, vectors, progress or _silent) for target in targets]

    def logit_form(self) -> tuple[float, float]:
        """exp(logit_scale) and logit_bias of a CLIP, read live; (1, 0) where there is none."""
        scale, bias = (getattr(self.vit.module, name, None) for name in ("logit_scale", "logit_bias"))
        return (
            1.0 if scale is None else float(scale.detach().cpu().double().exp().mean()),
            0.0 if bias is None else float(bias.detach().cpu().double().mean()),
        )

    def class_logits(self, features: Tensor) -> Tensor | None:
        """Logits [C] of the model's classes from features [E]; a CLIP is read as a zero-shot classifier. Or None."""
        if self.vit.classes is not None:
            weight, bias = self.vit.classes()
            return features @ weight.T + (0.0 if bias is None else bias)
        if self.text is None or not self.class_names:
            return None
        return self._logits_of(self.class_names, features)

    def support(self, target: Target, aim: Aim, features: Tensor) -> Support:
        """Whether the image with these features supports the target, and its probability."""
        if not all(_may_be_seen(side) for side in sides_of(target)):
            return support.UNKNOWN
        if isinstance(target, Class) and not self.is_sigmoid:
            logits = self.class_logits(features)
            return support.UNKNOWN if logits is None else support.by_softmax(logits, int(target.index or 0))
        logit = float(Aims([aim], "logit")(features[None])[0])
        if isinstance(target, Contrast):
            return support.of_two(logit, *(side.label for side in sides_of(target)))
        if self.is_sigmoid:
            return support.by_sigmoid(logit, self.support_threshold)
        everyday = [prompt for prompt in support.EVERYDAY if prompt not in _prompts(target)]
        return support.by_everyday_prompts(logit, self._logits_of(everyday, features))

    def _logits_of(self, prompts: Sequence[str], features: Tensor) -> Tensor:
        assert self.text is not None  # who asks has seen to it
        scale, offset = self.logit_form()
        return scale * (self.text(prompts) @ nn.functional.normalize(features, dim=0)) + offset

    def _is_prompt(self, target: Target) -> bool:
        """Whether the target becomes a vector through the text tower."""
        return isinstance(target, Text) or (isinstance(target, Class) and self.vit.classes is None)

    def _aim(self, target: Target, vectors: dict[tuple[str, ...], Tensor], progress: Progress) -> Aim:
        if isinstance(target, Contrast):
            a, b = (self._aim(side, vectors, progress) for side in sides_of(target))
            return difference(a, b, target.label)
        scale, offset = self.logit_form()
        if isinstance(target, Direction | Concept):
            vector = (
                torch.tensor(target.vector, device=self.vit.device)
                if isinstance(target, Direction)
                else self._mean_feature(target, progress)
            )
            return (
                Aim(vector, target.label, "cos", scale, offset)
                if self.kind == "clip"
                else Aim(vector, target.label, "dot")
            )
        if isinstance(target, Class) and self.vit.classes is not None:
            weight, bias = self.vit.classes()
            index = int(target.index or 0)
            return Aim(weight[index], target.label, "logit", None, 0.0 if bias is None else float(bias[index]))
        return Aim(vectors[_prompts(target)], target.label, "cos", scale, offset)

    def _mean_feature(self, concept: Concept, progress: Progress) -> Tensor:
        """The mean [E] of the examples' features; held until the weights change."""
        with self.lock:
            weights = fingerprint(self.module)
            read_at, mean = self._concepts.get(concept, (None, None))
            if mean is None or read_at != weights:
                features = []
                for index, image in enumerate(concept.images):
                    progress(index, len(concept.images))
                    features.append(self._example_feature(concept, index, image))
                mean = torch.stack(features).mean(0)
                self._concepts[concept] = (weights, mean)
        if not mean.any():
            raise TargetError(f"the mean feature of {concept.label!r} is zero; choose other example pictures")
        return mean

    def _example_feature(self, concept: Concept, index: int, image: Any) -> Tensor:
        try:
            return self.encode(image, keep="nothing").features
        except (ImageError, TypeError) as error:
            kind = TypeError if isinstance(error, TypeError) else TargetError
            raise kind(f"image {index + 1} of {len(concept.images)} of {concept.label!r}: {error}") from error

    def _size(self, size: int | tuple[int, int] | None) -> tuple[int, int]:
        if size is None:
            return self.vit.size
        try:
            sides: Any = (size, size) if np.ndim(size) == 0 else size
            height, width = (operator.index(side) for side in sides)
        except (TypeError, ValueError):
            raise ImageError(f"size is a side in whole pixels, or (height, width); arrived: {size!r}") from None
        self._check_size((height, width), "size")
        return height, width

    def _check_size(self, size: Sequence[int], what: str) -> None:
        patch = self.vit.patch
        if any(s < p or s % p for s, p in zip(size, patch, strict=True)):
            near = [max(p, round(s / p) * p) for s, p in zip(size, patch, strict=True)]
            raise ImageError(
                f"{what} is {size[0]} x {size[1]} (height x width), not a multiple of the {patch[0]} x {patch[1]} "
                f"patches; use {near[0]} x {near[1]}"
            )
        if self.vit.fixed_grid and tuple(size) != self.vit.size:
            raise ImageError(
                f"{self.name} sees {self.vit.size[0]} x {self.vit.size[1]} pixels (height x width) and no other size: "
                f"{self.vit.fixed_grid}. Leave out size, or pass a tensor of that size"
            )
        tokens = self.vit.prefix + math.prod(size) // math.prod(patch)
        if (needed := self.vit.heads * tokens**2 * 4) > LARGEST:
            raise ImageError(
                f"{what} of {size[0]} x {size[1]} makes {tokens} tokens: the attention of one block alone would take "
                f"{needed / 2**30:,.0f} GiB. Take a smaller one: the model's own has {self.vit.size[0]} pixels a side"
            )

    def __repr__(self) -> str:
        grid = "x".join(map(str, self.vit.grid))
        return (
            f"<Model {self.name}: {self.kind}, {len(self.vit.blocks)} layers, {self.vit.heads} heads, {grid} patches>"
        )


def _prompts(target: Target) -> tuple[str, ...]:
    return target.prompts if isinstance(target, Text) else (target.label,)


def _may_be_seen(target: Target) -> bool:
    """Whether a picture can show the target or not: a class, or a prompt that says something."""
    return isinstance(target, Class) or (isinstance(target, Text) and bool(target.text.strip()))


def specificity_of(ours: Explanation, control: Explanation) -> float:
    """1 - r of two merged raw maps, r Pearson's; nan where one is flat. See :meth:`Encoding.specificity`."""
    a, b = (x.raw().astype(np.float64) for x in (ours, control))
    return float("nan") if is_flat(a) or is_flat(b) else 1 - float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _silent(_step: int, _total: int) -> None:
    """Nobody watches."""


class Encoding:
    """One image as one model sees it. Many targets share it; only what a method needs is recomputed from the tokens."""

    def __init__(self, model: Model, tokens: Tokens, view: View, weights: int, *, keep: Keep = "tokens"):
        self.model, self._view, self._weights = model, view, weights
        self._budget, self._held = tokens.budget, tokens if keep == "tokens" else None
        with plain_arithmetic(model.vit.device):
            self.features: Tensor = model.vit.readout(tokens.after(len(model.vit.blocks)))

    @property
    def tokens(self) -> Tokens:
        """The captured tokens; with ``keep="nothing"`` the native forward runs for them, and they are not held.

        Raises:
            StaleEncoding: the model's weights changed since the image was encoded.
        """
        with self.model.lock:
            self.check_fresh()
            return self._held or capture(self.model.vit, self.image, budget=self._budget)[0]

    @property
    def image(self) -> Tensor:
        """The model input [3, Hin, Win] float32, preprocessed."""
        return self._view.tensor

    @property
    def picture(self) -> Image.Image:
        """The upright RGB picture."""
        return self._view.picture

    @property
    def window(self) -> Window:
        """(left, top, right, bottom) of what the model saw, in pixels of the picture."""
        return self._view.window

    @property
    def grid(self) -> tuple[int, int]:
        """Patch rows and columns."""
        height, width = self.image.shape[-2:]
        return height // self.model.vit.patch[0], width // self.model.vit.patch[1]

    @property
    def nbytes(self) -> int:
        """Bytes held by the captured tokens and the values that prompts share; 0 with ``keep="nothing"``."""
        return 0 if self._held is None else self._held.nbytes

    @property
    def stale(self) -> bool:
        """Whether the model's weights changed after this image was encoded."""
        return fingerprint(self.model.module) != self._weights

    def check_fresh(self) -> None:
        """Raise a StaleEncoding if the model's weights changed after this image was encoded."""
        if self.stale:
            raise StaleEncoding("the model's weights changed since this image was encoded; encode it again")

    without = intervention.without
    head_effects = heads.head_effects
    ablate = heads.ablate
    verify_heads = heads.verify_heads
    attention = patches.attention
    token_norms = patches.token_norms
    layer_ranks = lens.layer_ranks
    lens = lens.lens

    @property
    def predictions_of(self) -> str:
        """What the probabilities of :meth:`predictions` range over; "" where there are none."""
        if not self.predictions(1):
            return ""
        return "sigmoid" if self.model.is_sigmoid else f"softmax over {len(self.model.class_names or ())} classes"

    def predictions(self, k: int = 5) -> tuple[Prediction, ...]:
        """The ``k`` most likely classes; () where the model has none. A CLIP is read as a zero-shot classifier."""
        if k < 1:
            raise ValueError(f"at least one prediction is asked for; arrived: {k}")
        if self._class_logits is None or self.model.class_names is None:
            return ()
        return support.top_classes(self._class_logits, self.model.class_names, k, sigmoid=self.model.is_sigmoid)

    @cached_property
    def _class_logits(self) -> Tensor | None:
        with self.model.lock, plain_arithmetic(self.model.vit.device):
            return self.model.class_logits(self.features)

    @overload
    def explain(
        self,
        target: list[Any] | tuple[Any, ...],
        method: str = ...,
        *,
        layers: Layers = ...,
        progress: Progress | None = ...,
        **knobs: Any,
    ) -> list[Explanation]: ...
    @overload
    def explain(
        self, target: Any, method: str = ..., *, layers: Layers = ..., progress: Progress | None = ..., **knobs: Any
    ) -> Explanation: ...

    def explain(
        self,
        target: Any,
        method: str = "legrad",
        *,
        layers: Layers = None,
        progress: Progress | None = None,
        **knobs: Any,
    ) -> Explanation | list[Explanation]:
        """Explain one target, or a list of them together.

        Args:
            target: prompt, class name or index, vector [E], lw.Text / Class / Concept / Direction / Contrast; a list
                gives a list.
            method: a name from :func:`legrad_widget.list_methods`.
            layers: 1-based blocks to compute (one, several, or a slice, both ends included); None: the method's own.
            progress: called with (step, total) between layers, while the model is locked: do not wait there for another
                thread that uses the model. An exception raised there cancels.
            **knobs: the method's knobs.

        Raises:
            TargetError, MethodError, KnobError, StaleEncoding, ValueError (layers), TypeError: each a sentence;
            nothing was changed.
        """
        many = isinstance(target, list | tuple)
        if not many and isinstance(target, str) and target in catalogue() and method not in [*catalogue()]:
            raise TypeError(f"the target comes first: explain({method!r}, {target!r})")
        chosen = find(method)
        if reason := chosen.refuses(self.model.vit):
            raise MethodError(reason)
        targets = [self.model.target(t) for t in (target if many else [target])]
        settings, correction = Correction.taken_from(chosen.checked(knobs))
        background = [] if correction is None else [self._background(correction)]
        wanted = chosen_layers(layers, range(1, len(self.model.vit.blocks) + 1))
        with self.model.lock:
            tokens = self.tokens
            size = max(1, _TOGETHER // (4 * tokens.before(1).numel()))  # so many targets fit into memory together
            if chosen.together:  # targets that are compared with each other are never split
                size = max(size, len(targets))
            parts = [targets[start : start + size] for start in range(0, len(targets), size)]
            results = [x for part in parts for x in self._explain(tokens, part, chosen, wanted, progress, settings)]
            if correction is not None:  # where targets are compared, the background's is compared with those asked
                beside = [*targets, *background] if chosen.together else background
                empty = self._explain(tokens, beside, chosen, wanted, progress, settings)[-1]
                results = correction(results, empty)
        return results if many else results[0]

    def specificity(self, target: Any, method: str = "legrad", control: Any = "", **knobs: Any) -> float:
        """1 - r: how much the map of ``target`` differs from that of a control which names something else, or nothing.

        r is Pearson's correlation of the two merged raw maps over the patches (sign kept, not normalised), both by the
        same method, layers and knobs. 0: the method shows the same picture whatever it is asked; 1: the two maps have
        nothing in common; up to 2: one is the negative of the other. nan: a map is flat.

        Args:
            target, method: as in :meth:`explain`, one target.
            control: "" for the empty prompt; a prompt of nonsense; or any other target, e.g. another class.
            **knobs: ``layers`` and the method's knobs.

        Raises:
            TargetError: the empty prompt on a model without a text tower. Others as :meth:`explain`.
        """
        if isinstance(target, list | tuple):
            raise TypeError("specificity is of one target; ask for one after the other")
        if isinstance(control, str) and not control.strip():
            if not self.model.takes_text:
                raise TargetError(
                    f"{self.model.name} cannot be asked the empty prompt; name another control, e.g. a class that is "
                    "not in the picture: specificity(281, control=3)"
                )
            control = Text(control, control=True)
        together = [[target], [control]] if find(method).together else [[target, control]]
        ours, other = (x for part in together for x in self.explain(part, method, **knobs))
        return specificity_of(ours, other)

    def _background(self, correction: Correction) -> Target:
        """The correction's prompt as a target; a sentence where it cannot be asked."""
        if self.model.text is None:
            raise KnobError(
                f"correction={correction.prompt!r} is a prompt, and {self.model.name} cannot be asked prompts; leave "
                "out correction" + (", or wrap the model with its tokenizer" if self.model.kind == "clip" else "")
            )
        return self.model.target(Text(correction.prompt))

    def _explain(
        self,
        tokens: Tokens,
        targets: list[Target],
        method: Method,
        layers: tuple[int, ...] | None,
        progress: Progress | None,
        knobs: dict[str, Any],
    ) -> list[Explanation]:
        started = time.perf_counter()
        with plain_arithmetic(self.model.vit.device):
            aims = self.model.aims(targets, progress)
            maps = method.run(tokens, aims, layers, progress or _silent, **knobs)
            scores = Aims(aims)(self.features.expand(len(aims), -1)).tolist()
            supports = [self.model.support(*pair, self.features) for pair in zip(targets, aims, strict=True)]
        if not torch.isfinite(maps.tokens).all():
            raise UnsupportedModel(f"{method.title} gave NaN or inf on {self.model.name}; its weights may be damaged")
        whole: list[dict[str, Any]] = [
            {"target": target, "label": target.label, "score": score, "score_name": _SCORE_NAMES[aim.default]}
            | self._verdict(target, said)
            for target, aim, score, said in zip(targets, aims, scores, supports, strict=True)
        ]
        seconds = (time.perf_counter() - started) / len(targets)
        shared: dict[str, Any] = {
            "method": method.name,
            "merge": method.merge,
            "default": method.default,
            "seconds": seconds,
        }
        return [
            Explanation(**self._arrays(maps, index), **self._place(), **shared, **facts, knobs={**knobs, **maps.ran})
            for index, facts in enumerate(whole)
        ]

    def _verdict(self, target: Target, said: Support) -> dict[str, Any]:
        note = " ".join(filter(None, map(self._about, sides_of(target))))
        # A word that the model never saw is never supported; of a contrast nothing is said.
        supported = False if note and not isinstance(target, Contrast) else said.supported
        return {
            "probability": said.probability,
            "probability_of": said.probability_of,
            "supported": supported,
            "note": note,
        }

    def _about(self, target: Target) -> str:
        """A sentence about words of a prompt that the model does not know, or ""."""
        known = self.model.vocabulary
        return (known.about(target.text) or "") if isinstance(target, Text) and known is not None else ""

    def _arrays(self, maps: Maps, index: int) -> dict[str, Any]:
        """Target ``index``'s share of the method's answer, prefix tokens apart and patches on the grid."""
        tokens = maps.tokens[index].float().cpu().numpy()  # [L, H or 1, N]
        prefix = self.model.vit.prefix
        heads = np.ascontiguousarray(tokens[..., prefix:]).reshape(*tokens.shape[:2], *self.grid)
        nothing = np.full(len(maps.layers), np.nan, np.float32)
        return {
            "maps": heads.mean(1),
            "heads": heads if maps.has_heads else None,
            "prefix": tokens[..., :prefix].mean(1) if prefix else None,
            "layers": maps.layers,
            "scores": nothing if maps.scores is None else maps.scores[index].cpu().numpy(),
            "reliability": self.model.reliability_of(maps.layers),
            "signed": maps.signed,
        }

    def _place(self) -> dict[str, Any]:
        """Where the maps lie, and of which model they are."""
        patch = self.model.vit.patch
        return {
            "window": self.window,
            "picture": self.picture,
            "input_size": (self.grid[0] * patch[0], self.grid[1] * patch[1]),
            "model": self.model.name,
        }

    def __repr__(self) -> str:
        size, grid = "{} x {}".format(*self.picture.size), "x".join(map(str, self.grid))
        return f"<Encoding of a {size} picture by {self.model.name}: {grid} patches>"
