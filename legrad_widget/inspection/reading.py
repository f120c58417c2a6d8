"""One sample made ready for the model: the picture read, its digest, its label, its model input and a thumbnail."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ..explainer import Model
from ..models.preprocess import Fit, View
from .identity import digest_of_picture
from .labels import Labels
from .problem import UNREADABLE, InspectionError, Problem
from .samples import Samples

SIDE = 96  # of a thumbnail, in pixels


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A sample before it is decoded. ``image``: what ``encode`` reads; ``digest``: of what it shows."""

    index: int
    image: Any
    digest: bytes
    label: int


def read(samples: Samples, index: int, labels: Labels) -> Read | Problem:
    """One sample with its label, or what is wrong with it."""
    name = samples.names[index]
    try:
        image, label = samples.read(index)
        shown = held(image)
    except UNREADABLE as error:
        return Problem(index, name, "unreadable", says(error))
    try:
        number = labels.index(label)
    except InspectionError as error:
        return Problem(index, name, "label", str(error))
    try:
        return Read(index, shown, digest_of_picture(shown), number)
    except UNREADABLE as error:
        return Problem(index, name, "unreadable", says(error))


def view(model: Model, image: Any, fit: Fit, size: tuple[int, int]) -> View:
    """The picture as the model sees it.

    Raises:
        ImageError: it cannot be read.
    """
    if isinstance(image, Tensor):
        seen = model.preprocess.tensor_view(image)
        if tuple(seen.tensor.shape[1:]) != size:
            raise InspectionError(
                f"a preprocessed tensor has the model's {size[0]} x {size[1]} pixels (height x width); this one has "
                f"{seen.tensor.shape[1]} x {seen.tensor.shape[2]}"
            )
        return seen
    return model.preprocess.view(image, size, fit)


def thumbnail(picture: Image.Image) -> bytes:
    """A JPEG of at most 96 x 96 pixels."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def held(image: Any) -> Any:
    """A file's bytes, so that it is read once; anything else as it is.

    Raises:
        InspectionError: the file cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        if "://" in str(image):
            raise InspectionError("pictures are not fetched from the network; download the file and pass its path")
        try:
            return Path(image).expanduser().read_bytes()
        except OSError as error:
            raise InspectionError(f"its file cannot be read: {error.strerror or error}") from error
    return np.asarray(image) if type(image).__module__ == "numpy" else image


def says(error: BaseException) -> str:
    """What is wrong, in one sentence; errors that are not said in sentences are told by their name."""
    said = str(error) if isinstance(error, OSError | ValueError | TypeError) else f"{type(error).__name__}: {error}"
    said = said or type(error).__name__
    return said if len(said) <= 300 else f"{said[:297]}..."
