"""What a map is about: a prompt, a class, a concept, a direction or a contrast, and the one vector that it becomes.

A resolved target is an :class:`Aim`. With f the image's features [E] and t its vector, every score has the form
``s = gain * cos(f, t) + slope * <f, t> + offset``; the score's name picks the three numbers. So has the difference of
two scores: what they share is linear in t.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

MAX_PROMPT = 1000
MAX_TEMPLATES = 100
Score = Literal["cos", "dot", "raw", "logit"]
SCORE_NAMES = {"cos": "cosine", "logit": "logit", "dot": "dot product", "raw": "dot product"}
_SAME = 1e-6  # of two vectors that differ by no more than float32's rounding


class TargetError(ValueError):
    """The target cannot be used; the message says what was expected, what arrived and what to do."""


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt, used exactly as typed. ``control=True`` allows the empty prompt, as a control for specificity.

    ``templates``: sentences with one ``{}`` each, where the text is put in, e.g. ``("a photo of a {}", "a drawing of a
    {}")``; the unit vectors of all of them are averaged and the mean is made a unit vector again, as CLIP's zero-shot
    ensembles do (Radford et al. 2021, arXiv:2103.00020, section 3.1.4). None: the text alone.
    """

    text: str
    control: bool = False
    templates: Sequence[str] = ()

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
        if not isinstance(self.templates, list | tuple) or not all(isinstance(t, str) for t in self.templates):
            raise TypeError("templates is a list of sentences: lw.Text('cat', templates=['a photo of a {}'])")
        object.__setattr__(self, "templates", tuple(self.templates))
        if len(self.templates) > MAX_TEMPLATES:
            raise TargetError(f"{len(self.templates)} templates are too many: at most {MAX_TEMPLATES} are averaged")
        for template in self.templates:
            if template.count("{}") != 1:
                raise TargetError(
                    f"a template has one {{}} where the text goes, e.g. 'a photo of a {{}}'; arrived: {template[:60]!r}"
                )
        if longest := max((len(p) for p in self.prompts if len(p) > MAX_PROMPT), default=0):
            raise TargetError(f"a filled template has {longest} characters; at most {MAX_PROMPT} are taken. Shorten it")

    @property
    def prompts(self) -> tuple[str, ...]:
        """What the text tower reads: the filled templates, or the text alone."""
        return tuple(template.replace("{}", self.text) for template in self.templates) or (self.text,)

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


@dataclass(frozen=True, slots=True)
class Contrast:
    """Evidence for ``a`` rather than ``b``: its score is the difference s_a - s_b of theirs, explained as one score.

    Either side is whatever a target can be (prompt, class, concept, direction), but no contrast again, and both have
    the same kind of score. The gradient of a difference is the difference of the gradients, so one gradient holds both
    directions: where a method keeps the positive part (LeGrad's ``relu``), the map shows evidence for ``a`` over ``b``,
    and ``Contrast(b, a)`` the evidence for ``b``; where it keeps the sign, ``Contrast(b, a)`` is the same map negated.
    Two maps that were normalised apart cannot be subtracted from each other.

    Raises:
        TargetError: a contrast of a contrast, or of a target with itself. TypeError: a side that cannot be a target.
    """

    a: Any
    b: Any

    def __post_init__(self) -> None:
        for side in ("a", "b"):
            value = getattr(self, side)
            if isinstance(value, Contrast):
                raise TargetError(
                    "a contrast has two sides, and neither may be a contrast again: ask for lw.Contrast(a, b) and "
                    "lw.Contrast(a, c) one beside the other"
                )
            target = as_target(value, classifier=False)
            # Whether a bare string is a prompt or a class is for the model to say.
            object.__setattr__(self, side, value if isinstance(value, str) else target)
        if self.a == self.b:
            raise TargetError(
                f"nothing sets {_label(self.a)!r} apart from itself; a contrast needs two different targets, e.g. "
                "lw.Contrast('cat', 'dog')"
            )

    @property
    def label(self) -> str:
        """How the target is called on screen."""
        return f"{_label(self.a)} over {_label(self.b)}"


def _label(side: Any) -> str:
    return str(side if isinstance(side, str) else side.label)


Target = Text | Class | Concept | Direction | Contrast


def sides_of(target: Target) -> tuple[Target, ...]:
    """The two sides of a contrast, once a model has resolved it; of any other target itself."""
    return (target.a, target.b) if isinstance(target, Contrast) else (target,)


def as_target(value: Any, *, classifier: bool) -> Target:
    """A target from what a user writes: str (a class name on a classifier), int (class index), vector, or a Target.

    Raises:
        TypeError: nothing that can be a target; the message shows what can.
        TargetError: blank or overlong prompt, bad vector.
    """
    if isinstance(value, Text | Class | Concept | Direction | Contrast):
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
        "a target is a prompt (str), a class index (int), a vector np.array([E]), lw.Text, lw.Class, lw.Concept, "
        f"lw.Direction or lw.Contrast; this is {type(value).__name__}"
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
    """A resolved target: its vector [E], and its logit ``scale * cos + offset`` (``<f, t> + offset`` without scale).

    A contrast has ``sides`` a and b, and looks along the difference d of theirs. With u = t / |t|,

    - cosine: ``cos(f, t_a) - cos(f, t_b) = <f / |f|, u_a - u_b> = |d| cos(f, d)`` with d = u_a - u_b, so gain = |d|;
    - logit of a CLIP: ``scale`` times that, and the offset cancels;
    - inner product, and a classifier's logit: ``<f, d> + offset_a - offset_b`` with d = t_a - t_b.

    ``vector`` is the d of the default score; the two differ where the sides are no unit vectors.
    """

    vector: Tensor
    label: str
    default: Score
    scale: float | None = None
    offset: float = 0.0
    sides: tuple[Aim, Aim] | None = None

    def form(self, score: Score | None) -> tuple[float, float, float]:
        """gain, slope and offset of ``s = gain * cos + slope * dot + offset``."""
        name = score or self.default
        if name == "cos":
            return self._length, 0.0, 0.0
        if name == "logit":
            return (0.0, 1.0, self.offset) if self.scale is None else (self.scale * self._length, 0.0, self.offset)
        return 0.0, 1.0, 0.0

    @property
    def unit(self) -> Tensor:
        """[E] float64: what the cosine is taken with, of length 1 (0 where two sides have the same direction)."""
        turned = self._turned
        return turned / turned.norm().clamp_min(torch.finfo(turned.dtype).tiny)

    @property
    def plain(self) -> Tensor:
        """[E] float64: what the inner product is taken with."""
        return self.vector.double() if self.sides is None else self.sides[0].plain - self.sides[1].plain

    @property
    def _turned(self) -> Tensor:
        """The unit vector, or the difference of two; float32 would lose very short and very long vectors."""
        if self.sides is not None:
            return self.sides[0].unit - self.sides[1].unit
        return self.vector.double() / self.vector.double().norm()

    @property
    def _length(self) -> float:
        return 1.0 if self.sides is None else float(self._turned.norm())


def difference(a: Aim, b: Aim, label: str) -> Aim:
    """The aim whose every score is a's minus b's.

    Raises:
        TargetError: the two have different kinds of scores, or to this model they are the same.
    """
    if (a.default, a.scale) != (b.default, b.scale):
        raise TargetError(
            f"{a.label!r} is scored by its {SCORE_NAMES[a.default]} and {b.label!r} by its {SCORE_NAMES[b.default]}; "
            "a contrast needs two of a kind, e.g. two classes or two directions"
        )
    made = Aim(a.vector, label, a.default, a.scale, a.offset - b.offset, (a, b))
    vector, of = (made._turned, 1.0) if a.default == "cos" else (made.plain, float(a.plain.norm() + b.plain.norm()))
    if not float(vector.norm()) > _SAME * of:
        raise TargetError(
            f"to this model {a.label!r} and {b.label!r} are the same: their scores never differ, and there is nothing "
            "to explain; choose another target"
        )
    return replace(made, vector=vector)


class Aims:
    """P resolved targets scored together."""

    def __init__(self, aims: Sequence[Aim], score: Score | None = None):
        gain, slope, offset = zip(*(aim.form(score) for aim in aims), strict=True)
        device = aims[0].vector.device
        self._form = tuple(torch.tensor(x, dtype=torch.float64, device=device) for x in (gain, slope, offset))
        self._plain = torch.stack([aim.plain for aim in aims])
        self._units = torch.stack([aim.unit for aim in aims])

    def __len__(self) -> int:
        return len(self._plain)

    def __call__(self, features: Tensor) -> Tensor:
        """Scores [..., P] of the features [..., P, E], one row per target ([..., 1, E]: all share it)."""
        gain, slope, score = (number.to(features.dtype) for number in self._form)
        if gain.any():
            cos = (features * self._units.to(features.dtype)).sum(-1) / features.norm(dim=-1).clamp_min(1e-12)
            score = score + gain * cos
        if slope.any():
            score = score + slope * (features * self._plain.to(features.dtype)).sum(-1)
        return score
