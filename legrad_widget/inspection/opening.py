"""A saved inspection, opened again: the table, curves, neighbours, thumbnails and saved maps need no model."""

from __future__ import annotations

import os
from typing import Any

from ..explainer import Model
from .cache import opened
from .classes import chooser
from .inspection import Inspection
from .problem import InspectionError
from .samples import Files, Samples
from .storage import read, restore
from .streaming import specification


def open_inspection(
    folder: str | os.PathLike[str], model: Model | None = None, *, cache: bool | str | os.PathLike[str] = True
) -> Inspection:
    """The inspection that :meth:`Inspection.save` wrote.

    Args:
        folder: where it is.
        model: the same model as before, for maps that were not saved, flip sets and so on; None: all that was saved can
            be looked at.
        cache: as in :func:`legrad_widget.inspect`; only used with a model.

    Raises:
        InspectionError: no inspection, a newer or damaged one, or another model. FileNotFoundError: no such folder.
        TypeError: ``model`` is none of ours.
    """
    if model is not None and not isinstance(model, Model):
        raise TypeError(
            f"model is what lw.load or lw.wrap gives, the same that was inspected; this is {type(model).__name__}"
        )
    said, arrays = read(folder)
    try:
        names = tuple(said["class_names"])
        chosen = None if model is None else _chooser(model, names, said)
        samples = Samples(Files(tuple(said["paths"])), said["labels"] or None, tuple(said["names"]))
        made = Inspection.__new__(Inspection)
        height, width = said["size"]
        made._begin(chosen, samples, names, said["fit"], (height, width))
        made.templates = tuple(said["templates"])
        restore(made, said, arrays)
    except (KeyError, TypeError, IndexError) as error:
        raise InspectionError(f"the inspection in {folder} is damaged: something is missing ({error})") from error
    if chosen is not None:
        made.cache = opened(cache)
        if said["asked"] is not None and specification(made).hex() != said["asked"]:
            raise InspectionError(_ANOTHER.format(said["model"]))
    return made


_ANOTHER = (
    "this is another model than the one that was inspected ({}), or its weights or settings changed; open it without a "
    "model, or inspect anew"
)


def _chooser(model: Model, names: tuple[str, ...], said: dict[str, Any]) -> Model:
    try:
        return chooser(model, names, said["templates"])
    except InspectionError as error:
        raise InspectionError(f"{_ANOTHER.format(said['model'])}. {error}") from error
