"""Pictures with labels, read when they are needed: a folder, a list, a torch Dataset or a column of paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image
from torch import Tensor

from .problem import UNREADABLE, InspectionError

_CALL = "lw.inspect(model, images, labels)"
_LABEL = ("label", "labels", "target")  # what the label is called where an item is a dict


@dataclass(frozen=True, slots=True)
class Files(Sequence[Any]):
    """Pictures where they were when an inspection was saved; "" where one was no file."""

    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: Any) -> Any:
        path = self.paths[index]
        if not path:
            raise InspectionError("it was read from no file of its own, so of its picture only the thumbnail was saved")
        return path


@dataclass(frozen=True, slots=True)
class Samples:
    """N pictures in their order.

    Attributes:
        source: what ``source[i]`` gives: a path, a picture, or (picture, label).
        labels: N of them, integers or names; None where every picture brings its own.
        names: what the samples are called: their paths as given, or as their Dataset lists them (ImageFolder's
            ``samples``); "" where a picture has none.
        classes: what the numbers of the Dataset's own labels are called; () where it does not say, or they are the
            model's.
    """

    source: Sequence[Any]
    labels: Sequence[Any] | None
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def files(self) -> tuple[str, ...]:
        """The names that are read as they are; "" where a Dataset stands between the file and what the model sees."""
        if isinstance(self.source, Files):
            return self.source.paths
        return self.names if isinstance(self.source, list) else ("",) * len(self)

    def read(self, index: int) -> tuple[Any, Any]:
        """(what ``encode`` reads, label) of one sample; nothing is decoded here.

        Raises:
            Whatever the source raises.
        """
        image, own = _parted(self.source[index])
        return image, self.called(own if self.labels is None else self.labels[index])

    def label(self, index: int) -> Any:
        """The label alone; the picture is read only where it brings the label."""
        if self.labels is None:
            return self.read(index)[1]
        return self.called(self.labels[index])

    def called(self, label: Any) -> Any:
        """A label by the name of its class, where its number is not the model's."""
        label = _plain(label)
        if not self.classes or isinstance(label, bool) or not isinstance(label, int):
            return label
        count = len(self.classes)
        return self.classes[label] if 0 <= label < count else f"number {label} of a Dataset with {count} classes"


def samples_of(images: Any, labels: Any = None) -> Samples:
    """The samples behind what a user passes.

    Args:
        images: a folder with one sub-folder per class (as torchvision's ImageFolder; without sub-folders ``labels`` is
            needed, in the order of the sorted file names); a list, tuple, array or pandas column of anything
            ``encode`` reads; a torch Dataset, or any sequence, of pictures or (picture, label).
        labels: integers or names, one per picture; None: taken from the folder or the Dataset. Where a Dataset has
            ``classes`` its numbers are places in them, and not the model's (unless it has a ``target_transform``).

    Raises:
        InspectionError: nothing to inspect, no labels, or not one per picture. TypeError: none of these.
    """
    source: Sequence[Any]
    if isinstance(images, str | os.PathLike):
        source, own = _folder(Path(images).expanduser())
    else:
        source, own = _sequence(images), None
    if not len(source):
        raise InspectionError(f"there is nothing to inspect: images is empty. {_CALL}")
    given = _listed(labels, len(source)) if labels is not None else own or _own_labels(images, source)
    names = tuple(map(_name_of, source)) if isinstance(source, list) else _files_of(images, len(source))
    return Samples(source, given, names, () if labels is not None else _classes_of(images))


def _folder(folder: Path) -> tuple[list[Path], list[str] | None]:
    """Files, sorted by class and name, and the name of the class folder of each; no labels without such folders."""
    if not folder.is_dir():
        there = "is a file" if folder.exists() else "is not there"
        raise InspectionError(f"images is a folder, a list of pictures or a Dataset; {folder} {there}")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        return sorted(_pictures_in(folder)), None
    pairs = [(path, group.name) for group in classes for path in sorted(_pictures_in(group))]
    return [path for path, _ in pairs], [name for _, name in pairs]


def _pictures_in(folder: Path) -> Iterator[Path]:
    known = Image.registered_extensions()
    found = (path for path in folder.rglob("*") if path.suffix.lower() in known)
    return (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _sequence(images: Any) -> Sequence[Any]:
    """A list where the pictures are held already, else the source itself, asked one by one."""
    if hasattr(images, "columns"):
        raise TypeError(f"a table has many columns: pass the one with the paths, e.g. table['path']. {_CALL}")
    if (column := _column(images)) is not None:
        return column
    if isinstance(images, list | tuple):
        return list(images)
    if isinstance(images, Image.Image | bytes | dict | set) or not hasattr(images, "__getitem__"):
        hint = "pass its .dataset" if hasattr(images, "dataset") else "list(...) makes a list of it"
        raise TypeError(
            f"images is a folder, a list of pictures or paths, a column of them, or a torch Dataset; this is "
            f"{type(images).__name__}{f': {hint}' if isinstance(images, Iterable) else ''}. {_CALL}"
        )
    if not hasattr(images, "__len__"):
        raise TypeError("this Dataset does not say how long it is: it needs __len__, so that samples can be numbered")
    return images


def _column(values: Any) -> list[Any] | None:
    """What a one-dimensional array, or a column of pandas, polars or pyarrow holds; None of anything else."""
    if getattr(values, "ndim", 1) != 1:
        return None
    listing = next((name for name in ("tolist", "to_list", "to_pylist") if hasattr(values, name)), None)
    return None if listing is None else list(getattr(values, listing)())


def _listed(labels: Any, count: int) -> list[Any]:
    if hasattr(labels, "columns"):
        raise TypeError(f"a table has many columns: pass the one with the labels, e.g. table['label']. {_CALL}")
    values = labels if (column := _column(labels)) is None else column
    if isinstance(values, str | bytes | dict | set) or not isinstance(values, Iterable):
        raise TypeError(f"labels is a list with one label per picture; this is {type(labels).__name__}. {_CALL}")
    values = list(values)
    if len(values) != count:
        raise InspectionError(
            f"one label per picture: there are {count} pictures and {len(values)} labels, so nobody can tell which "
            "belongs to which. Pass labels=None for a Dataset that brings its own"
        )
    return values


def _own_labels(images: Any, source: Sequence[Any]) -> list[Any] | None:
    """A Dataset's list of labels, or None where each item brings its own."""
    for name in () if _renumbered(images) else ("targets", "labels"):
        held = getattr(images, name, None)
        held = held if (column := _column(held)) is None else column
        if isinstance(held, Sequence) and not isinstance(held, str) and len(held) == len(source):
            return list(held)
    try:
        _, own = _parted(source[0])
    except UNREADABLE:  # the first one; the others may be readable
        return None
    if own is None:
        raise InspectionError(f"there are no labels to tell right from wrong: {_CALL}")
    return None


def _renumbered(images: Any) -> bool:
    """Whether a Dataset changes its labels on their way out, as torchvision's do with ``target_transform``."""
    return getattr(images, "target_transform", None) is not None


def _classes_of(images: Any) -> tuple[str, ...]:
    """What a Dataset's numbers are called; () where it does not say.

    As torchvision's Datasets say it (``classes``) or Hugging Face's (``features``), also behind Subset, ConcatDataset.

    Raises:
        InspectionError: the Datasets that are put together number their classes differently.
    """
    if hasattr(images, "dataset") and hasattr(images, "indices"):
        return _classes_of(images.dataset)
    if _renumbered(images):
        return ()
    if hasattr(images, "cumulative_sizes"):
        parts = {_classes_of(part) for part in images.datasets}
        if len(parts) > 1:
            raise InspectionError(
                "the Datasets that are put together number their classes differently: pass labels=, one per picture"
            )
        return parts.pop()
    features = getattr(images, "features", None)
    columns = features if isinstance(features, dict) else {}
    column = next((columns[name] for name in _LABEL if name in columns), None)
    held = getattr(images, "classes", getattr(column, "names", ()))
    held = held if (listed := _column(held)) is None else listed
    if not isinstance(held, Sequence) or isinstance(held, str):
        return ()
    names = [", ".join(one) if isinstance(one, tuple) and all(isinstance(n, str) for n in one) else one for one in held]
    return tuple(names) if all(isinstance(name, str) for name in names) else ()


def _parted(item: Any) -> tuple[Any, Any]:
    """(picture, label or None) of an item."""
    if isinstance(item, tuple | list) and len(item) >= 2:
        return item[0], _plain(item[1])
    if isinstance(item, dict):
        image = next((item[name] for name in ("image", "img", "pixel_values", "path") if name in item), None)
        label = next((item[name] for name in _LABEL if name in item), None)
        return image, _plain(label)
    return item, None


def _plain(label: Any) -> Any:
    """The number out of a tensor or an array that holds one."""
    held = isinstance(label, Tensor | np.ndarray | np.generic) and np.prod(label.shape) == 1
    return label.item() if held else label


def _files_of(images: Any, count: int) -> tuple[str, ...]:
    """The files behind a Dataset, where it lists them as torchvision's do, also those behind a Subset; else ""."""
    if hasattr(images, "dataset") and hasattr(images, "indices"):
        names = _files_of(images.dataset, len(images.dataset))
        return tuple(names[index] for index in images.indices)
    for attribute in ("samples", "imgs", "paths", "files"):
        held = getattr(images, attribute, None)
        if isinstance(held, Sequence) and not isinstance(held, str) and len(held) == count:
            return tuple(map(_name_of, held))
    return ("",) * count


def _name_of(item: Any) -> str:
    image, _ = _parted(item)
    return os.fspath(image) if isinstance(image, str | os.PathLike) else str(getattr(image, "filename", "") or "")
