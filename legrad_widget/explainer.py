"""The public faces: a Model that encodes images, and an Encoding that explains targets. No Jupyter here."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from . import support
from .explanation import Explanation
from .method import Maps, Method, MethodError, catalogue, find
from .models.capture import Tokens, capture, lock_of
from .models.preprocess import Fit, ImageError, Preprocess, View, Window
from .models.text import TextEncoder
from .models.view import UnsupportedModel, ViT
from .target import Aim, Aims, Class, Direction, Target, TargetError, Text, as_target

Layers = int | slice | Iterable[int] | None
Progress = Callable[[int, int], None]
_SCORE_NAMES = {"cos": "cosine", "logit": "logit", "dot": "dot"}


@dataclass(frozen=True, slots=True)
class Prediction:
    """One of the model's classes with its probability for the whole image."""

    index: int
    name: str
    probability: float


class Model:
    """A ViT ready to explain: its verified view, its text tower or classes, and how pictures become its input.

    Made by :func:`legrad_widget.load` and :func:`legrad_widget.wrap`. The caller's module is never written to.
    """

    def __init__(
        self,
        vit: ViT,
        preprocess: Preprocess,
        *,
        text: TextEncoder | None = None,
        class_names: tuple[str, ...] | None = None,
        vocabulary: Any = None,
        support_threshold: float | None = None,
    ):
        self.vit, self.preprocess, self.text = vit, preprocess, text
        self.class_names, self.vocabulary, self.support_threshold = class_names, vocabulary, support_threshold
        self.lock = lock_of(vit.module)

    @property
    def name(self) -> str:
        """How the model is called."""
        return self.vit.name

    @property
    def module(self) -> nn.Module:
        """The caller's model itself."""
        return self.vit.module

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

    def encode(
        self, image: Any, *, fit: Fit = "squash", size: int | tuple[int, int] | None = None, budget: int = 64 << 20
    ) -> Encoding:
        """One image through the model's own forward, once; then every target on it costs no vision forward.

        Args:
            image: path, PIL image, bytes, array [H, W, 3] or [H, W] (uint8, or float in [0, 1]), or a preprocessed
                tensor [3, H, W] or [1, 3, H, W], taken as it is.
            fit: how a picture of another shape is shown to the model: "squash" (all of it, aspect lost), "crop"
                (centre), "pad" (letterbox).
            size: model input in pixels, one side or (height, width), a multiple of the patch size; None: the model's
                own. Another grid interpolates the position embedding for this call.
            budget: bytes that values shared by prompts may take on top of the tokens (``Encoding.nbytes`` tells).

        Raises:
            ImageError: the image cannot be read. TypeError: not an image. UnsupportedModel: numbers are not finite.
        """
        if fit not in ("squash", "crop", "pad"):
            raise ImageError(f"fit is 'squash', 'crop' or 'pad'; arrived: {fit!r}")
        if isinstance(image, Tensor):
            view = self.preprocess.tensor_view(image)
            self._check_size(view.tensor.shape[1:], "the preprocessed tensor")
            if size is not None and self._size(size) != tuple(view.tensor.shape[1:]):
                raise ImageError("a preprocessed tensor is taken as it is; leave out size, or pass a picture")
        else:
            view = self.preprocess.view(image, self._size(size), fit)
        tokens, _ = capture(self.vit, view.tensor, budget=budget)
        return Encoding(self, tokens, view)

    def target(self, value: Any) -> Target:
        """A checked target: a class gets both its index and its name.

        Raises:
            TargetError: unknown class, blank prompt, a prompt without a text tower, a vector of another length.
            TypeError: nothing that can be a target.
        """
        target = as_target(value, classifier=self.kind == "classifier")
        if isinstance(target, Class):
            return self._class(target)
        if isinstance(target, Text) and self.text is None:
            raise TargetError(self._no_text())
        if isinstance(target, Direction) and len(target.vector) != self.vit.features:
            raise TargetError(
                f"a direction for {self.name} has {self.vit.features} numbers; this one has {len(target.vector)}"
            )
        return target

    def explore(self, image: Any = None, targets: Any = None, **options: Any) -> Any:
        """The widget on this model; see :func:`legrad_widget.explore`."""
        import legrad_widget

        return legrad_widget.explore(image, targets, model=self, **options)

    def aims(self, targets: Sequence[Target]) -> list[Aim]:
        """Each target's one vector, prompts encoded together."""
        prompts = [t.text for t in targets if isinstance(t, Text)]
        prompts += [str(t.name) for t in targets if isinstance(t, Class) and self.vit.classes is None]
        vectors = dict(zip(prompts, self.text(prompts), strict=True)) if prompts and self.text else {}
        scale, offset = self.logit_form()
        return [self._aim(target, vectors, scale, offset) for target in targets]

    def logit_form(self) -> tuple[float, float]:
        """exp(logit_scale) and logit_bias of a CLIP, read live; (1, 0) where there is none."""
        scale, bias = (getattr(self.vit.module, name, None) for name in ("logit_scale", "logit_bias"))
        return (
            1.0 if scale is None else float(scale.detach().float().exp().mean()),
            0.0 if bias is None else float(bias.detach().float().mean()),
        )

    def _aim(self, target: Target, vectors: dict[str, Tensor], scale: float, offset: float) -> Aim:
        device = self.vit.device
        if isinstance(target, Direction):
            vector = torch.tensor(target.vector, device=device)
            if self.kind == "clip":
                return Aim(vector, target.label, "cos", scale, offset)
            return Aim(vector, target.label, "dot")
        if isinstance(target, Class) and self.vit.classes is not None:
            weight, bias = self.vit.classes()
            index = int(target.index or 0)
            return Aim(weight[index], target.label, "logit", None, 0.0 if bias is None else float(bias[index]))
        text = target.text if isinstance(target, Text) else str(target.name)
        return Aim(vectors[text], target.label, "cos", scale, offset)

    def _class(self, target: Class) -> Class:
        names = self.class_names
        if self.kind == "backbone":
            raise TargetError(
                f"{self.name} has no classes; pass a direction [E], or wrap it with head=your_linear_head"
            )
        if names is None:
            raise TargetError(f"{self.name} has no class names; wrap it with class_names=[...], or use a prompt")
        if self.vit.classes is None and self.text is None:
            raise TargetError(self._no_text())
        if target.index is not None:
            if not 0 <= target.index < len(names):
                raise TargetError(f"class indices go from 0 to {len(names) - 1}; arrived: {target.index}")
            return Class(target.index, names[target.index])
        wanted = str(target.name)
        exact = [i for i, name in enumerate(names) if name == wanted]
        loose = exact or [
            i for i, name in enumerate(names) if wanted.lower() in [n.strip() for n in name.lower().split(",")]
        ]
        if loose:
            return Class(loose[0], names[loose[0]])
        close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5) or list(names[:3])
        raise TargetError(f"the model has no class {wanted[:60]!r}; try {', '.join(map(repr, close))}")

    def _no_text(self) -> str:
        if self.kind == "clip":
            return "prompts need a tokenizer: lw.wrap(model, tokenizer=open_clip.get_tokenizer(architecture))"
        return f"{self.name} has no text tower; ask for a class by name or index, or pass a direction [E]"

    def _size(self, size: int | tuple[int, int] | None) -> tuple[int, int]:
        if size is None:
            return self.vit.size
        try:
            height, width = (size, size) if isinstance(size, int) else (int(v) for v in size)
        except (TypeError, ValueError):
            raise ImageError(f"size is a side in pixels or (height, width); arrived: {size!r}") from None
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

    def __repr__(self) -> str:
        grid = "x".join(map(str, self.vit.grid))
        return (
            f"<Model {self.name}: {self.kind}, {len(self.vit.blocks)} layers, {self.vit.heads} heads, {grid} patches>"
        )


class Encoding:
    """One image as one model sees it. Many targets share it; only what a method needs is recomputed from the tokens."""

    def __init__(self, model: Model, tokens: Tokens, view: View):
        self.model, self.tokens, self._view = model, tokens, view
        with torch.inference_mode(False), torch.no_grad():
            self.features: Tensor = model.vit.readout(tokens.after(len(model.vit.blocks)))

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
        return self.tokens.grid

    @property
    def nbytes(self) -> int:
        """Bytes held by the captured tokens and the values that prompts share."""
        return self.tokens.nbytes

    @property
    def predictions_of(self) -> str:
        """What the probabilities of :meth:`predictions` range over; "" where there are no classes."""
        logits = self._class_logits()
        if logits is None:
            return ""
        return "sigmoid" if self._sigmoid else f"softmax over {len(logits)} classes"

    def predictions(self, k: int = 5) -> tuple[Prediction, ...]:
        """The ``k`` most likely classes; () where the model has none. A CLIP is read as a zero-shot classifier."""
        logits = self._class_logits()
        names = self.model.class_names
        if logits is None or names is None:
            return ()
        probabilities = logits.sigmoid() if self._sigmoid else logits.softmax(0)
        top = probabilities.topk(min(k, len(names)))
        return tuple(Prediction(int(i), names[int(i)], float(p)) for p, i in zip(top.values, top.indices, strict=True))

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
            target: prompt, class name or index, vector [E], lw.Text / lw.Class / lw.Direction; a list gives a list.
            method: a name from :func:`legrad_widget.list_methods`.
            layers: 1-based blocks to compute (one, several, or a slice, both ends included); None: the method's own.
            progress: called with (step, total) between layers; an exception raised there cancels.
            **knobs: the method's knobs.

        Raises:
            TargetError, MethodError, KnobError, ValueError (layers), TypeError: each a sentence; nothing was changed.
        """
        if isinstance(target, str) and target in catalogue() and method not in catalogue():
            raise TypeError(f"the target comes first: explain({method!r}, {target!r})")
        chosen = find(method)
        reason = chosen.refuses(self.model.vit)
        if reason:
            raise MethodError(reason)
        many = isinstance(target, list | tuple)
        targets = [self.model.target(t) for t in (target if many else [target])]
        settings = chosen.checked(knobs)
        wanted = chosen_layers(layers, len(self.model.vit.blocks))
        results = self._explain(targets, chosen, wanted, progress, settings) if targets else []
        return results if many else results[0]

    def _explain(
        self,
        targets: list[Target],
        method: Method,
        layers: tuple[int, ...] | None,
        progress: Progress | None,
        knobs: dict[str, Any],
    ) -> list[Explanation]:
        started = time.perf_counter()
        with ExitStack() as stack:
            stack.enter_context(self.model.lock)
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.autocast(self.model.vit.device.type, enabled=False))
            aims = self.model.aims(targets)
            maps = method.run(self.tokens, aims, layers, progress or (lambda step, total: None), **knobs)
            finals = Aims(aims)(self.features.expand(len(aims), -1))
            judged = [self._support(target, aim) for target, aim in zip(targets, aims, strict=True)]
        if not torch.isfinite(maps.tokens).all():
            raise UnsupportedModel(f"{method.title} gave NaN or inf on {self.model.name}; its weights may be damaged")
        seconds = (time.perf_counter() - started) / len(targets)
        return [
            self._explanation(
                index, target, aims[index], float(finals[index]), judged[index], maps, method, knobs, seconds
            )
            for index, target in enumerate(targets)
        ]

    def _explanation(
        self, index: int, target: Target, aim: Aim, score: float, judged: support.Support, maps: Maps, method: Method,
        knobs: dict[str, Any], seconds: float,
    ) -> Explanation:  # fmt: skip
        per_head = maps.tokens[index].float().cpu().numpy()  # [L, H or 1, N]
        prefix = self.model.vit.prefix
        heads = np.ascontiguousarray(per_head[..., prefix:]).reshape(*per_head.shape[:2], *self.grid)
        note = ""
        if isinstance(target, Text) and self.model.vocabulary is not None:
            note = self.model.vocabulary.about(target.text) or ""
        return Explanation(
            maps=heads.mean(1),
            heads=heads if maps.has_heads else None,
            prefix=per_head[..., :prefix].mean(1) if prefix else None,
            layers=maps.layers,
            scores=np.full(len(maps.layers), np.nan, np.float32)
            if maps.scores is None
            else maps.scores[index].cpu().numpy(),
            score=score,
            score_name=_SCORE_NAMES[aim.default],
            probability=judged.probability,
            probability_of=judged.probability_of,
            supported=False if note else judged.supported,
            note=note,
            signed=maps.signed,
            window=self.window,
            picture=self.picture,
            input_size=(self.grid[0] * self.model.vit.patch[0], self.grid[1] * self.model.vit.patch[1]),
            merge=method.merge,
            default=method.default,
            method=method.name,
            knobs=knobs,
            model=self.model.name,
            target=target,
            label=target.label,
            seconds=seconds,
        )

    @property
    def _sigmoid(self) -> bool:
        """Whether this CLIP was trained with a sigmoid: it has a logit bias."""
        return self.model.kind == "clip" and getattr(self.model.vit.module, "logit_bias", None) is not None

    def _support(self, target: Target, aim: Aim) -> support.Support:
        if isinstance(target, Direction) or (isinstance(target, Text) and not target.text.strip()):
            return support.UNKNOWN
        if isinstance(target, Class) and not self._sigmoid:
            logits = self._class_logits()
            if logits is not None and len(logits) > 1:
                return support.by_softmax(logits, int(target.index or 0), "classes")
            return support.UNKNOWN
        logit = float(Aims([aim], "logit")(self.features[None])[0])
        if self._sigmoid:
            return support.by_sigmoid(logit, self.model.support_threshold)
        assert self.model.text is not None  # a Text target was accepted
        scale, offset = self.model.logit_form()
        cosines = self.model.text(support.EVERYDAY) @ torch.nn.functional.normalize(self.features, dim=0)
        return support.by_everyday_prompts(logit, scale * cosines + offset)

    def _class_logits(self) -> Tensor | None:
        """Logits [C] of the model's classes, or None."""
        with torch.inference_mode(False), torch.no_grad():
            if self.model.vit.classes is not None:
                weight, bias = self.model.vit.classes()
                return self.features @ weight.T + (0.0 if bias is None else bias)
            if self.model.text is None or not self.model.class_names:
                return None
            scale, offset = self.model.logit_form()
            return (
                scale * (self.model.text(self.model.class_names) @ torch.nn.functional.normalize(self.features, dim=0))
                + offset
            )

    def __repr__(self) -> str:
        size, grid = "{} x {}".format(*self.picture.size), "x".join(map(str, self.grid))
        return f"<Encoding of a {size} picture by {self.model.name}: {grid} patches>"


def chosen_layers(layers: Layers, depth: int) -> tuple[int, ...] | None:
    """1-based layers, ascending and unique; None stays None.

    Raises:
        ValueError: a layer outside 1..depth, or no layer at all.
        TypeError: not int, slice or iterable of ints.
    """
    if layers is None:
        return None
    if isinstance(layers, slice):
        low = 1 if layers.start is None else layers.start
        high = depth if layers.stop is None else layers.stop
        layers = range(low, high + 1, layers.step or 1)
    wanted = (
        [layers] if isinstance(layers, int | np.integer) else list(layers) if not isinstance(layers, str) else [layers]
    )
    for layer in wanted:
        if isinstance(layer, bool) or not isinstance(layer, int | np.integer):
            raise TypeError(f"layers are whole numbers from 1 to {depth}; arrived: {layer!r}")
        if not 1 <= layer <= depth:
            raise ValueError(f"layers go from 1 to {depth}; arrived: {int(layer)}")
    if not wanted:
        raise ValueError(f"layers is empty; name at least one from 1 to {depth}, or None for the method's own choice")
    return tuple(sorted({int(layer) for layer in wanted}))
