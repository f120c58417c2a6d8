"""A sample's picture read once more, with a sentence where that is no longer possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor

from ..explainer import Encoding
from ..models.preprocess import ImageError
from ..models.preprocess import picture as as_picture
from .identity import digest_of_picture
from .problem import UNREADABLE, PictureGone
from .reading import held, says

if TYPE_CHECKING:
    from .inspection import Inspection


def raw(inspection: Inspection, index: int) -> Any:
    """What ``encode`` reads: of a file its bytes. It shows what was scored.

    Raises:
        PictureGone: it cannot be read, or it is another picture now.
    """
    known = inspection.digests[index]
    try:
        image = held(inspection.samples.read(index)[0])
        changed = known.any() and digest_of_picture(image) != known.tobytes()
    except UNREADABLE as error:
        raise _gone(inspection, index, error) from error
    if changed:
        raise PictureGone(
            f"{_called(inspection, index)} shows another picture than the one that was scored: its file was changed, "
            "or its Dataset draws at random. Inspect it anew"
        )
    return image


def picture(inspection: Inspection, index: int) -> Image.Image:
    """The upright RGB picture; of a preprocessed tensor the normalisation undone.

    Raises:
        PictureGone: it cannot be read, or it is another one now.
    """
    image = raw(inspection, index)
    try:
        if isinstance(image, Tensor):
            return inspection.needs_model("show a preprocessed tensor").preprocess.tensor_view(image).picture
        return as_picture(image)
    except (OSError, ImageError, TypeError) as error:
        raise _gone(inspection, index, error) from error


def encoded(inspection: Inspection, index: int) -> Encoding:
    """The picture as the model sees it in this inspection, encoded.

    Raises:
        PictureGone: it cannot be read, or it is another one now.
    """
    model = inspection.needs_model("look into a picture")
    image = raw(inspection, index)
    try:
        return model.encode(image, fit=inspection.fit, size=inspection.size)
    except (OSError, ImageError, TypeError) as error:
        raise _gone(inspection, index, error) from error


def _gone(inspection: Inspection, index: int, error: BaseException) -> PictureGone:
    return PictureGone(f"{_called(inspection, index)} cannot be read: {says(error)}")


def _called(inspection: Inspection, index: int) -> str:
    name = inspection.samples.names[index]
    return f"sample {index}{f' ({name})' if name else ''}"
