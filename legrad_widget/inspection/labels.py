"""A label as the index of a class: whole numbers, or names as the classes are called."""

from __future__ import annotations

import difflib
import math
import operator
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from .problem import InspectionError, InspectionWarning


def of_folders(folders: Sequence[str], labels: Labels) -> list[Any]:
    """The labels of pictures from the names of their folders: the class of that name.

    Where no folder is called like a class (ImageNet's "n01440764") but there are as many folders as classes, the
    folders are the classes in sorted order, as torchvision's ImageFolder numbers them; a warning says so.
    """
    names = sorted(set(folders))
    if len(names) != len(labels.names) or any(labels.knows(name) for name in names):
        return list(folders)
    warnings.warn(
        f"no folder is called like a class; there are {len(names)} of both, so the folders are taken in sorted order: "
        f"{names[0]!r} is {labels.names[0]!r} ... {names[-1]!r} is {labels.names[-1]!r}. If that is wrong, pass labels",
        InspectionWarning,
        stacklevel=4,
    )
    number = {name: index for index, name in enumerate(names)}
    return [number[folder] for folder in folders]


def of_dataset(classes: Sequence[str], labels: Labels) -> tuple[str, ...]:
    """The names by which a Dataset's numbers go, where it has ``classes``; () where its numbers are the model's.

    An ImageFolder of some of the model's classes, or of all in another order, numbers them otherwise than the model.
    Where no class is called as the model's are but there are as many, they are taken in order; a warning says so.

    Raises:
        InspectionError: none is called so, and there are not as many.
    """
    if not classes or tuple(classes) == labels.names:
        return ()
    if any(labels.knows(name) for name in classes):
        return tuple(classes)
    shown = f"{', '.join(map(repr, classes[:_SHOWN]))}{', ...' * (len(classes) > _SHOWN)}"
    if len(classes) != len(labels.names):
        raise InspectionError(
            f"the Dataset numbers {len(classes)} classes ({shown}) and the model {len(labels.names)}, none of which is "
            "called so: pass labels= with the model's numbers or names, one per picture"
        )
    warnings.warn(
        f"the Dataset's classes ({shown}) are called otherwise than the model's; there are as many, so its numbers are "
        "taken as the model's. If that is wrong, pass labels",
        InspectionWarning,
        stacklevel=4,
    )
    return ()


def check(given: Iterable[Any], labels: Labels) -> None:
    """Say at once which of the labels that were given name no class, before a model is asked anything.

    Warns (InspectionWarning) where some do not: these samples are skipped.

    Raises:
        InspectionError: not one does.
    """
    misfits, count = {}, 0
    said: dict[Any, str] = {}  # there are far fewer labels than samples, and a close name is searched for long
    for index, label in enumerate(given):
        count += 1
        try:
            key = (type(label), label)
            says = said.get(key)
        except TypeError:  # a list
            key, says = None, None
        if says is None:
            says = said[key] = labels.misfit(label)
        if says:
            misfits[index] = says
    if not misfits:
        return
    first = next(iter(misfits))
    if len(misfits) == count:
        names = ", ".join(map(repr, labels.names[:_SHOWN])) + ", ..." * (len(labels.names) > _SHOWN)
        raise InspectionError(
            f"not one of the {count} labels fits a class; sample {first}: {misfits[first]}. The classes are {names}"
        )
    skipped = f"{len(misfits)} of {count} labels fit no class, and their samples are skipped (see problems)"
    warnings.warn(f"{skipped}; sample {first}: {misfits[first]}", InspectionWarning, stacklevel=4)


_SHOWN = 6


class Labels:
    """Turns labels into indices of C named classes.

    A name counts as written, or without regard to case as one of several synonyms that commas separate.
    """

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self._exact: dict[str, list[int]] = {}
        self._loose: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            self._exact.setdefault(name, []).append(index)
            for part in {part.strip().lower() for part in [*name.split(","), name]}:
                self._loose.setdefault(part, []).append(index)

    def knows(self, name: str) -> bool:
        """Whether a class is called so."""
        return name in self._exact or name.strip().lower() in self._loose

    def misfit(self, label: Any) -> str:
        """Why a label names no class, in a sentence; "" where it does."""
        try:
            self.index(label)
        except InspectionError as error:
            return str(error)
        return ""

    def indices(self, given: Iterable[Any]) -> list[int]:
        """The class of each label, from 0; -1 where it names none."""
        held = lru_cache(None, typed=True)(self._place)  # a close name is searched for long, and there are few labels
        found = []
        for label in given:
            try:
                found.append(held(label))
            except TypeError:  # a list
                found.append(self._place(label))
        return found

    def _place(self, label: Any) -> int:
        return -1 if self.misfit(label) else self.index(label)

    def index(self, label: Any) -> int:
        """The class of a label, from 0.

        Raises:
            InspectionError: no label, out of range, no such name, or a name that several classes share.
        """
        if _missing(label):
            raise InspectionError("it has no label")
        return self._named(label) if isinstance(label, str) else self._numbered(label)

    def _numbered(self, label: Any) -> int:
        if isinstance(label, float) and label.is_integer():
            label = int(label)  # a column of integers with gaps is one of floats
        try:
            index = operator.index(label)
        except TypeError:
            said = repr(label)
            raise InspectionError(f"a label is the number or the name of one class; this is {said:.60}") from None
        if not 0 <= index < len(self.names):
            raise InspectionError(f"its label {index} is out of range: labels go from 0 to {len(self.names) - 1}")
        return index

    def _named(self, label: str) -> int:
        found = self._exact.get(label) or self._loose.get(label.strip().lower(), [])
        if len(found) > 1:
            raise InspectionError(f"{len(found)} classes are called {label!r:.60}; pass labels as numbers")
        if not found:
            close = difflib.get_close_matches(label, self.names, n=1, cutoff=0.6)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            if label.strip().isdecimal():
                hint = f"; for the class of that number pass {int(label)}, without quotes"
            raise InspectionError(f"there is no class {label!r:.60}{hint}")
        return found[0]


def _missing(label: Any) -> bool:
    """None, NaN, pandas' NA and NaT, or a name without letters."""
    if isinstance(label, str):
        return not label.strip()
    return (
        label is None
        or type(label).__name__ in ("NAType", "NaTType")
        or (isinstance(label, float) and math.isnan(label))
    )
