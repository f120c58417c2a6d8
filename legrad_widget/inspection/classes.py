"""The classes that a model chooses from, as it is inspected: a classifier's, or a CLIP's by their names as prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..explainer import Model
from ..models.live import fingerprint
from ..models.text import TextEncoder
from ..target import Text
from .problem import InspectionError

_TOGETHER = 16  # class names that go through the text tower together, each in all its templates


def chooser(model: Any, class_names: Iterable[str] | None, templates: Sequence[str] = ()) -> Model:
    """The model as one that chooses among classes; the caller's own record is not changed.

    Args:
        model: a classifier, or a CLIP with a tokenizer (zero-shot: the class names are its prompts).
        class_names: of a classifier the names of its outputs, None: those that it knows. Of a CLIP its prompts.
        templates: sentences with one ``{}`` each for the name; their unit vectors are averaged (see ``lw.Text``).

    Raises:
        InspectionError: nothing to choose from, or names that do not fit. TypeError: no Model, or no names.
    """
    if isinstance(model, nn.Module):
        raise TypeError("this module is not wrapped yet: lw.inspect(lw.wrap(module), images, labels)")
    if not isinstance(model, Model):
        raise TypeError(
            "the model comes first, from lw.load(...) or lw.wrap(module): lw.inspect(model, images, labels); this is "
            f"{type(model).__name__}"
        )
    if isinstance(templates, str):
        raise TypeError(f"templates is a list of sentences: templates=[{templates!r}]")
    names = model.class_names if class_names is None else _checked(class_names)
    if model.kind == "backbone" or (model.kind == "clip" and model.text is None):
        need = "a head: lw.wrap(module, head=linear)" if model.kind == "backbone" else "its tokenizer, see lw.wrap"
        raise InspectionError(f"{model.name} has no classes to choose from; it needs {need}")
    if names is None:
        raise InspectionError(f"{model.name} is asked by prompts: name the classes, class_names=['cat', 'dog', ...]")
    if len(names) < 2:
        raise InspectionError(f"a model with one class ({names[0]!r}) is never wrong; name at least two classes")
    if model.vit.classes is not None:
        _check_classifier(model, names, templates)
        return replace(model, class_names=names)
    for name in names:
        Text(name, templates=tuple(templates))  # says what is wrong with a blank name or a template
    text = TemplatedText(model.text, templates) if templates and model.text is not None else model.text
    return replace(model, class_names=names, text=text)


def _checked(class_names: Any) -> tuple[str, ...]:
    if isinstance(class_names, str | set | frozenset | Mapping):  # a set has no order, and a dict may have another one
        raise TypeError(
            "class_names is a list of names in the order of the classes: class_names=['cat', 'dog']; this is "
            f"{type(class_names).__name__}"
        )
    names = tuple(class_names)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError("class_names is a list of strings, one per class")
    return tuple(str(name) for name in names)


def _check_classifier(model: Model, names: tuple[str, ...], templates: Sequence[str]) -> None:
    assert model.vit.classes is not None  # who asks has seen to it
    count = len(model.vit.classes()[0])
    if len(names) != count:
        raise InspectionError(f"{model.name} has {count} classes; class_names has {len(names)}")
    if templates:
        raise InspectionError(f"templates are for prompts, and {model.name} is a classifier; leave them out")


class TemplatedText(TextEncoder):
    """A text tower that reads every prompt put into each of some sentences, and averages their unit vectors."""

    def __init__(self, text: TextEncoder, templates: Sequence[str]):
        self._text, self._templates = text, tuple(templates)
        self._averages: dict[str, Tensor] = {}
        self._read_at: int | None = None

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors [P, E]; each is held until the weights change: there may be 80 sentences behind it."""
        if self._read_at != (weights := fingerprint(self._text._clip)):
            self._averages, self._read_at = {}, weights
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._averages]
        if new:
            sentences = [[t.replace("{}", prompt) for t in self._templates] for prompt in new]
            self._averages |= zip(new, self._text.averages(sentences), strict=True)
        return torch.stack([self._averages[prompt] for prompt in prompts])

    def averages(self, groups: Sequence[Sequence[str]]) -> Tensor:
        """Unit vectors [P, E], each along the mean of its group's."""
        vectors = self([prompt for group in groups for prompt in group]).split([len(group) for group in groups])
        return torch.stack([v[0] if len(v) == 1 else F.normalize(v.mean(0), dim=0) for v in vectors])


class ClassScores:
    """Scores of all classes at once from features, with the weights as they are now."""

    def __init__(self, model: Model):
        self.model = model
        self._read_at: int | None = None
        self._vectors = torch.empty(0)

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(scores, logits), both [..., C], of features [..., E].

        ``scores`` are what a method differentiates: the cosine with a CLIP's prompts, a classifier's logits.
        """
        if self.model.vit.classes is not None:
            weight, bias = self.model.vit.classes()
            logits = features @ weight.T.to(features) + (0.0 if bias is None else bias.to(features))
            return logits, logits
        scale, offset = self.model.logit_form()
        cosines = F.normalize(features, dim=-1) @ self.vectors().T.to(features)
        return cosines, scale * cosines + offset

    def vectors(self) -> Tensor:
        """[C, E] what the features are compared with: a classifier's weights, or the prompts' unit vectors."""
        if self.model.vit.classes is not None:
            return self.model.vit.classes()[0]
        weights = fingerprint(self.model.module)
        if self._read_at != weights:
            assert self.model.text is not None  # see chooser
            assert self.model.class_names is not None
            names = self.model.class_names
            parts = [self.model.text(names[start : start + _TOGETHER]) for start in range(0, len(names), _TOGETHER)]
            self._vectors, self._read_at = torch.cat(parts), weights
        return self._vectors
