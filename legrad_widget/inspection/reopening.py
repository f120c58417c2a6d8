"""A sample's picture read once more, with a sentence where that is no longer possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor

from ..explainer import Encoding
from ..models.preprocess import ImageError
from ..models.preprocess import picture as as_picture
from .problem import PictureGone
from .reading import UNREADABLE

if TYPE_CHECKING:
    from .inspection import Inspection


def raw(inspection: Inspection, index: int) -> Any:
    """What ``encode`` reads.

    Raises:
        PictureGone: it cannot be read.
    """
    try:
        return inspection.samples.read(index)[0]
    except UNREADABLE as error:
        raise _gone(inspection, index, error) from error


def picture(inspection: Inspection, index: int) -> Image.Image:
    """The upright RGB picture; of a preprocessed tensor the normalisation undone.

    Raises:
        PictureGone: it cannot be read.
    """
    image = raw(inspection, index)
    try:
        if isinstance(image, Tensor):
            return inspection.needs_model("show a preprocessed tensor").preprocess.tensor_view(image).picture
        return as_picture(image)
    except UNREADABLE as error:
        raise _gone(inspection, index, error) from error


def encoded(inspection: Inspection, index: int) -> Encoding:
    """The picture as the model sees it in this inspection, encoded.

    Raises:
        PictureGone: it cannot be read.
    """
    model = inspection.needs_model("look into a picture")
    try:
        return model.encode(raw(inspection, index), fit=inspection.fit, size=inspection.size)
    except (OSError, ImageError) as error:
        raise _gone(inspection, index, error) from error


def _gone(inspection: Inspection, index: int, error: BaseException) -> PictureGone:
    name = inspection.samples.names[index]
    return PictureGone(f"sample {index}{f' ({name})' if name else ''} cannot be read: {error}")
