"""What a layer, or one of its tokens, would say if the model ended there: the logit lens, and the target's rank by it.

The raw lens reads the tokens of a layer with the final norm and projection, which were trained for the last layer
alone: it is what LeGrad differentiates. What it says of early layers misleads: :mod:`legrad_widget.reliability` tells
from which layer on it beats chance. The fitted lens (:mod:`legrad_widget.translator`) tells whether the information is
there already.

Source: nostalgebraist, "interpreting GPT: the logit lens" (2020); for patches of CLIP compare Gandelsman et al.
(arXiv:2310.05916). Axis letters: N tokens, D width, E feature width, L layers, R reference targets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .models.capture import plain_arithmetic
from .models.live import apply, fingerprint
from .models.view import ViT
from .patches import layer_at, patch_or_prefix, token_of
from .support import EVERYDAY, Prediction, top_classes
from .target import Aims, Class, Target, TargetError, Text
from .translator import Translators, pooled_tokens

if TYPE_CHECKING:
    from .explainer import Encoding, Model


class LensError(ValueError):
    """A lens that this model does not have, or not for what is asked; the message says what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerRanks:
    """Where a target stands at every layer.

    Attributes:
        ranks: [L] 1: ahead of all others; equal scores share the mean of their ranks.
        of: how many stand in the row, the target included. ``among``: the others, in words.
        fitted: [L] the same by the fitted lens, where :func:`both_ranks` was asked and there is one.
    """

    ranks: NDArray[np.float64]
    of: int
    among: str
    fitted: NDArray[np.float64] | None = None

    @property
    def chance(self) -> float:
        """The rank in the middle, which a lens that knows nothing gives on average."""
        return (self.of + 1) / 2


def lens(
    encoding: Encoding,
    layer: int,
    patch: tuple[int, int] | int | None = None,
    *,
    k: int = 5,
    among: Sequence[Any] | None = None,
    fitted: bool = False,
) -> tuple[Prediction, ...]:
    """The ``k`` likeliest classes or prompts, read from a layer's tokens by the model's own final norm and projection.

    Args:
        encoding: the image.
        layer: from 1; the last one gives the model's own answer.
        patch: None: all tokens, read as the model reads them. (row, column), or a prefix token's number: that token
            alone, in the place of the class token, as the only one of an average, or as the only one that an attention
            pooler sees.
        k: how many.
        among: targets to choose from, at least two; ``index`` then counts in this list. None: the model's classes, or
            everyday prompts where it has none.
        fitted: by the layer's translator, which ``model.calibrate_layers`` fits, instead of the raw lens: is the
            information there? Of all tokens only.

    Cost: next to nothing; the first time the prompts' text forwards.

    Raises:
        TargetError: nothing to choose from. LensError: no translators, or ``fitted`` of one token. LayerError,
        InterventionError: not there. StaleEncoding.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k is how many predictions are wanted, from 1; arrived: {k!r}")
    layer = layer_at(layer, encoding)
    query = None if patch is None else patch_or_prefix(patch, encoding)
    model = encoding.model
    if fitted and query is not None:
        raise LensError("the fitted lens was fitted on all tokens, read together; leave out patch, or fitted")
    with model.lock, plain_arithmetic(model.vit.device):
        if fitted:
            features = layer_features(encoding, fitted=True)[layer - 1]
        else:
            z = encoding.tokens.after(layer)
            features = model.vit.readout(z) if query is None else alone(model.vit, z[token_of(query, encoding)])
        names, logits = _choices(model, features, among)
    return top_classes(logits, names, int(k), sigmoid=model.is_sigmoid)


def alone(vit: ViT, token: Tensor) -> Tensor:
    """Features [E] of one token [D], read as if it were the only one that the readout sees."""
    readout = vit.readout
    copies = readout.rows.stop - readout.rows.start if readout.kind == "cls" else 1  # two for a distilled model
    return readout.tail(readout.pool(apply(readout.norm, token.expand(copies, -1))))


def layer_features(encoding: Encoding, *, fitted: bool = False) -> Tensor:
    """Features [L, E] as every layer says them, by the raw or the fitted lens.

    Raises:
        LensError: no translators were fitted. StaleEncoding.
    """
    vit, tokens = encoding.model.vit, encoding.tokens
    if not fitted:
        return torch.stack([vit.readout(tokens.after(layer)) for layer in range(1, tokens.depth + 1)])
    translators = translators_of(encoding.model)
    if translators is None:
        why = "was not fitted" if encoding.model.translators is None else "was fitted to other weights than it has now"
        raise LensError(
            f"the fitted lens of {encoding.model.name} {why}; give it 50 images or more, with one target each: "
            "model.calibrate_layers(images, targets)"
        )
    return translators(pooled_tokens(vit, tokens), vit.readout(tokens.after(tokens.depth)))


def translators_of(model: Model) -> Translators | None:
    """The model's fitted lens; None where there is none, or its weights were changed or moved since."""
    held = model.translators
    return held if held is not None and held.made_for == fingerprint(model.module) else None


def layer_ranks(
    encoding: Encoding, target: Any, *, among: Sequence[Any] | None = None, fitted: bool = False
) -> LayerRanks:
    """The target's rank at every layer, by the score of each layer's tokens as the model reads them.

    Args:
        encoding: the image.
        target: one target.
        among: the targets that it is ranked with (itself is left out). None: of a class, the model's classes; of a
            prompt that names one of them, the same prompt with each of the other names put in its place; of any other
            prompt, everyday prompts.
        fitted: by the layers' translators instead of the raw lens, as in :func:`lens`.

    Cost: L readouts; the first time the prompts' text forwards.

    Raises:
        TargetError: nothing to rank it with, as for a direction without ``among``. LensError: no translators were
        fitted. StaleEncoding.
    """
    with encoding.model.lock, plain_arithmetic(encoding.model.vit.device):
        return ranked(encoding.model, target, layer_features(encoding, fitted=fitted), among=among)


def both_ranks(encoding: Encoding, target: Any, *, among: Sequence[Any] | None = None) -> LayerRanks:
    """By the raw lens, and by the fitted one where the model was calibrated. Otherwise as :func:`layer_ranks`."""
    with encoding.model.lock, plain_arithmetic(encoding.model.vit.device):
        features = layer_features(encoding)
        if translators_of(encoding.model) is None:
            return ranked(encoding.model, target, features, among=among)
        both = torch.cat([features, layer_features(encoding, fitted=True)])
        found = ranked(encoding.model, target, both, among=among)
    raw, fitted = found.ranks.reshape(2, -1)
    return replace(found, ranks=raw, fitted=fitted)


def ranked(model: Model, target: Any, features: Tensor, *, among: Sequence[Any] | None = None) -> LayerRanks:
    """The same from features [L, E] as every layer says them, or [n, E] of any layers."""
    checked = model.target(target)
    with model.lock, plain_arithmetic(model.vit.device):
        if among is None and isinstance(checked, Class):
            own, rest, words = _among_classes(model, checked, features)
        else:
            others, words = reference(model, checked) if among is None else _given(model, checked, among)
            scores = Aims(model.aims([checked, *others]))(features[:, None].double())  # [L, 1 + R]
            own, rest = scores[:, :1], scores[:, 1:]
    ranks = 1 + (rest > own).sum(1) + (rest == own).sum(1) / 2
    return LayerRanks(ranks.double().cpu().numpy(), rest.shape[1] + 1, words)


def _among_classes(model: Model, target: Class, features: Tensor) -> tuple[Tensor, Tensor, str]:
    """The class's logit [L, 1] and the others' [L, R], from features [L, E]."""
    logits = torch.stack([logits for one in features if (logits := model.class_logits(one)) is not None])
    others = torch.arange(logits.shape[1], device=logits.device) != int(target.index or 0)
    if not others.any():
        raise TargetError(f"{target.label!r} is the model's only class; say what it is ranked with: among=[...]")
    return logits[:, ~others], logits[:, others], f"the model's {len(others)} classes"


def _given(model: Model, target: Target, among: Sequence[Any]) -> tuple[list[Target], str]:
    others = [other for other in map(model.target, among) if other.label != target.label]
    if not others:
        raise TargetError(f"{target.label!r} has nothing to be ranked with; name other targets: among=[...]")
    return others, f"{len(others)} given targets"


def reference(model: Model, target: Target) -> tuple[list[Target], str]:
    """What a prompt is ranked with when nothing is named: targets, and what they are in words.

    Raises:
        TargetError: there is no such set for a direction, a concept or a contrast.
    """
    if not isinstance(target, Text):
        raise TargetError(f"{target.label!r} is no class and no prompt; say what it is ranked with: among=[...]")
    names = model.class_names or ()
    said = [name for name in names if re.search(rf"\b{re.escape(name)}\b", target.text)]
    if not said or len(names) < 2:
        everyday = [prompt for prompt in EVERYDAY if prompt != target.text][: len(EVERYDAY) - 1]  # as many for each
        return [Text(prompt) for prompt in everyday], f"{len(everyday)} everyday prompts"
    named = max(said, key=len)
    pattern = re.compile(rf"\b{re.escape(named)}\b")
    swapped = [pattern.sub(name.replace("\\", r"\\"), target.text) for name in names if name != named]
    return [replace(target, text=text) for text in swapped], f"the same prompt of the {len(swapped)} other classes"


def _choices(model: Model, features: Tensor, among: Sequence[Any] | None) -> tuple[tuple[str, ...], Tensor]:
    """What there is to choose from, and its logits."""
    if among is None:
        logits = model.class_logits(features)
        if logits is not None and model.class_names is not None:
            return tuple(model.class_names), logits
        if not model.takes_text:
            raise TargetError(
                f"{model.name} has no classes and cannot be asked prompts; say what to choose from: "
                "among=[direction, direction, ...]"
            )
        among = [Text(prompt) for prompt in EVERYDAY]
    targets = [model.target(target) for target in among]
    if len(targets) < 2:
        raise TargetError(f"a choice needs at least two targets; among has {len(targets)}")
    return tuple(target.label for target in targets), Aims(model.aims(targets), "logit")(features[None])
