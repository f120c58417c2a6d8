"""What a map is about: a prompt, a class, a concept, or a direction, and the one vector that it becomes.

A resolved target is an :class:`Aim`. With f the image's features [E] and t its vector, every score has the form
``s = gain * cos(f, t) + slope * <f, t> + offset``; the score's name picks the three numbers.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

MAX_PROMPT = 1000
Score = Literal["cos", "dot", "raw", "logit"]


class TargetError(ValueError):
    """The target cannot be used; the message says what was expected, what arrived and what to do."""


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt, used exactly as typed. ``control=True`` allows the empty prompt, as a control for specificity."""

    text: str
    control: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"a prompt is a string; this is {type(self.text).__name__}")
        if not self.text.strip() and not self.control:
            raise TargetError(
                "the prompt is blank: type what to look for, e.g. 'a photo of a cat' "
                "(for an empty control prompt use lw.Text('', control=True))"
            )
        if len(self.text) > MAX_PROMPT:
            raise TargetError(f"the prompt has {len(self.text)} characters; at most {MAX_PROMPT} are taken. Shorten it")

    @property
    def label(self) -> str:
        """How the target is called on screen."""
        return self.text if self.text.strip() else "(empty prompt)"


@dataclass(frozen=True, slots=True)
class Class:
    """A class of the model, by index or by name; the model fills in the other one."""

    index: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.index is None and self.name is None:
            raise TargetError("a class needs an index or a name, e.g. lw.Class(281) or lw.Class(name='tabby')")
        if isinstance(self.index, str):
            raise TypeError(f"a class is named by keyword: lw.Class(name={self.index!r})")
        if self.index is not None:
            if isinstance(self.index, bool) or not hasattr(self.index, "__index__"):
                raise TypeError(f"a class index is a whole number; this is {type(self.index).__name__}")
            object.__setattr__(self, "index", operator.index(self.index))

    @property
    def label(self) -> str:
        """How the target is called on screen."""
        return self.name if self.name is not None else f"class {self.index}"


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """A raw direction [E] in the model's feature space (after the projection of a CLIP, before a classifier's head)."""

    vector: Any
    label: str = "direction"

    def __post_init__(self) -> None:
        vector = self.vector.detach().float().cpu().numpy() if isinstance(self.vector, Tensor) else self.vector
        try:
            array = np.array(vector, dtype=np.float32)
        except (TypeError, ValueError):
            raise TypeError(f"a direction is a vector of numbers [E]; this is {type(vector).__name__}") from None
        if array.ndim != 1:
            raise TargetError(f"a direction is a vector [E]; this array has shape {array.shape}")
        if not np.isfinite(array).all() or not array.any():
            raise TargetError("a direction must be finite and not all zero")
        array.flags.writeable = False
        object.__setattr__(self, "vector", array)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Concept:
    """What example pictures have in common: the mean of their features, each encoded squashed by the same model.

    The score is the dot product with the mean, as in CDAM; on a CLIP it is the cosine. The pictures are of any kind
    that ``encode`` reads. They are read when a model is first asked about the concept, and again
    when its weights changed. The CDAM paper takes thirty of them.

    Source: Brocki et al., CDAM (arXiv:2312.02364), concept score; its code offers the dot product, cosine and distance.
    """

    images: Sequence[Any] = field(repr=False)
    label: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.images, list | tuple):
            raise TypeError(
                "a concept is made of a list of pictures: lw.Concept(images=['a.jpg', 'b.jpg'], label='striped'); "
                f"images is {type(self.images).__name__}"
            )
        if not isinstance(self.label, str):
            raise TypeError(f"a concept's label is a string; this is {type(self.label).__name__}")
        count = len(self.images)
        if not count:
            raise TargetError("a concept needs at least one example picture; its list of images is empty")
        object.__setattr__(self, "images", tuple(self.images))
        object.__setattr__(self, "label", self.label.strip() or f"concept of {count} image{'s' if count > 1 else ''}")


Target = Text | Class | Concept | Direction


def as_target(value: Any, *, classifier: bool) -> Target:
    """A target from what a user writes: str (a class name on a classifier), int (class index), vector, or a Target.

    Raises:
        TypeError: nothing that can be a target; the message shows what can.
        TargetError: blank or overlong prompt, bad vector.
    """
    if isinstance(value, Text | Class | Concept | Direction):
        return value
    if isinstance(value, str):
        return Class(name=value) if classifier and value.strip() else Text(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return Class(int(value))
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0 and hasattr(value, "__index__"):
        return as_target(int(value), classifier=classifier)
    if isinstance(value, Tensor | np.ndarray):
        return Direction(value)
    raise TypeError(
        "a target is a prompt (str), a class index (int), a vector np.array([E]), lw.Text, lw.Class, lw.Concept or "
        f"lw.Direction; this is {type(value).__name__}"
    )


def find_class(target: Class, names: Sequence[str]) -> Class:
    """The class with both its index and its name; a name may be one of several synonyms that commas separate.

    Raises:
        TargetError: no such class, a name that several classes share, or a name that is not the index's.
    """
    if target.index is not None:
        if not 0 <= target.index < len(names):
            raise TargetError(f"class indices go from 0 to {len(names) - 1}; arrived: {target.index}")
        if target.name not in (None, names[target.index]):
            raise TargetError(f"class {target.index} is {names[target.index]!r}, not {target.name!r}")
        return Class(target.index, names[target.index])
    wanted = str(target.name)
    found = [i for i, name in enumerate(names) if name == wanted] or [
        i for i, name in enumerate(names) if wanted.lower() in (part.strip() for part in name.lower().split(","))
    ]
    if len(found) > 1:
        raise TargetError(f"{len(found)} classes are called {wanted!r}: {', '.join(map(str, found))}. Ask by index")
    if not found:
        close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5) or list(names[:3])
        raise TargetError(f"the model has no class {wanted[:60]!r}; try {', '.join(map(repr, close))}")
    return Class(found[0], names[found[0]])


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """A resolved target: its vector [E], and its logit ``scale * cos + offset`` (``<f, t> + offset`` without scale)."""

    vector: Tensor
    label: str
    default: Score
    scale: float | None = None
    offset: float = 0.0

    def form(self, score: Score | None) -> tuple[float, float, float]:
        """gain, slope and offset of ``s = gain * cos + slope * dot + offset``."""
        name = score or self.default
        if name == "cos":
            return 1.0, 0.0, 0.0
        if name == "logit":
            return (0.0, 1.0, self.offset) if self.scale is None else (self.scale, 0.0, self.offset)
        return 0.0, 1.0, 0.0


class Aims:
    """P resolved targets scored together."""

    def __init__(self, aims: Sequence[Aim], score: Score | None = None):
        self.vectors = torch.stack([aim.vector for aim in aims])
        gain, slope, offset = zip(*(aim.form(score) for aim in aims), strict=True)
        device = self.vectors.device
        self._form = tuple(torch.tensor(x, dtype=torch.float64, device=device) for x in (gain, slope, offset))
        lengths = self.vectors.double().norm(dim=-1, keepdim=True)  # float32 would lose very short and very long ones
        self._units = self.vectors.double() / lengths

    def __len__(self) -> int:
        return len(self.vectors)

    def __call__(self, features: Tensor) -> Tensor:
        """Scores [..., P] of the features [..., P, E], one row per target ([..., 1, E]: all share it)."""
        gain, slope, score = (number.to(features.dtype) for number in self._form)
        if gain.any():
            cos = (features * self._units.to(features.dtype)).sum(-1) / features.norm(dim=-1).clamp_min(1e-12)
            score = score + gain * cos
        if slope.any():
            score = score + slope * (features * self.vectors).sum(-1)
        return score
