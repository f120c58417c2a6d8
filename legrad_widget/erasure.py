"""What stands where a picture was erased: black, its mean, a blur, its surroundings, a colour. Imports nothing of ours.

All but the surroundings on the model's input [3, H, W], which is normalised: value = (x - mean) / std with x in [0, 1].
Mean, blur and surroundings are averages, so they are the same on either side of the normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Fill = Literal["black", "mean", "blur"]
KERNEL, SIGMA = 11, 5.0  # pixels of the model input
REACH = 1 / 16  # of the longer side: the standard deviation of the Gaussian that fills from what is around


class ErasureError(ValueError):
    """A picture cannot be erased that way; the message says what can."""


def background(image: Tensor, fill: Fill | Sequence[float], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The picture [3, H, W] that shows where ``image`` is erased.

    Args:
        image: [3, H, W], normalised.
        fill: "black": every channel 0 before normalisation (Chefer et al., LeGrad). "mean": the mean colour of this
            picture. "blur": a Gaussian of 11 x 11 pixels with sigma 5, edges reflected (RISE, arXiv:1806.07421, which
            inserts into it). Or a colour (red, green, blue), each in [0, 1].
        mean, std: of the normalisation.

    Raises:
        ErasureError: none of these.
    """
    if not isinstance(fill, str):
        return _even(image, _colour(fill), mean, std)
    if fill == "black":
        return _even(image, (0.0, 0.0, 0.0), mean, std)
    if fill == "mean":
        return image.mean((1, 2), keepdim=True).expand_as(image)
    if fill == "blur":
        return _blurred(image)
    raise ErasureError(
        f"fill is one of {', '.join(map(repr, get_args(Fill)))}, or a colour (r, g, b); arrived: {fill!r}"
    )


def surroundings(picture: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Channels [C, H, W] whose pixels under ``mask`` [H, W] are the mean of those outside, by a Gaussian of distance.

    Normalised convolution (Knutsson and Westin 1993); the standard deviation is 1/16 of the longer side.
    In float64 even pixels far inside have weights above 0 (to 37 standard deviations), so that each is filled from the
    pixels outside that are nearest to it. An empty mask changes nothing.

    Raises:
        ErasureError: the mask covers everything.
    """
    if mask.all():
        raise ErasureError("there is nothing outside of the mask to fill from; leave a part of the picture")
    weight = (~mask).astype(np.float64)
    sigma = REACH * max(mask.shape)
    rows, columns = (_gaussian(side, sigma) for side in mask.shape)
    total = rows @ weight @ columns
    result = picture.astype(np.float64)
    for channel in result:
        channel[mask] = (rows @ (weight * channel) @ columns)[mask] / total[mask]
    return result


def _gaussian(side: int, sigma: float) -> NDArray[np.float64]:
    """[side, side] the weight of each place for each other one."""
    places = np.arange(side)
    return np.asarray(np.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2)))


def _colour(fill: Any) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(value) for value in fill)
    except (TypeError, ValueError):
        raise ErasureError(f"a colour has three numbers in [0, 1]: (0.5, 0.5, 0.5); arrived: {fill!r}") from None
    if not all(0 <= value <= 1 for value in (red, green, blue)):
        raise ErasureError(f"a colour has three numbers in [0, 1]: (0.5, 0.5, 0.5); arrived: {fill!r}")
    return red, green, blue


def _even(image: Tensor, colour: Sequence[float], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    channels = [(value - m) / s for value, m, s in zip(colour, mean, std, strict=True)]
    return torch.tensor(channels, dtype=image.dtype, device=image.device)[:, None, None].expand_as(image)


def _blurred(image: Tensor) -> Tensor:
    """Separable, row by row and column by column; pictures narrower than the kernel repeat their edge instead."""
    offsets = torch.arange(KERNEL, dtype=torch.float64, device=image.device) - KERNEL // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    weights = (weights / weights.sum()).to(image)
    half = KERNEL // 2
    for axis in (1, 2):
        moved = image.transpose(axis, 2)
        padding = "reflect" if moved.shape[2] > half else "replicate"
        windows = F.pad(moved, (half, half), padding).unfold(2, KERNEL, 1)
        image = (windows * weights).sum(-1).transpose(axis, 2)  # no matrix product: autocast would round it
    return image
