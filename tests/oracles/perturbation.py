"""Perturbation by plain loops: pixels ranked and painted one by one, one native float64 forward per picture."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def order(values: np.ndarray, most: bool = True) -> list[int]:
    """Indices in reading order, highest (lowest) first; among equal ones the first in reading order."""
    flat = values.ravel().tolist()
    return sorted(range(len(flat)), key=lambda i: ((-flat[i] if most else flat[i]), i))


def pixels(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The patch grid upsampled bilinearly to the input; in float32, so that what is equal but for rounding is equal."""
    large = F.interpolate(torch.tensor(grid)[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return large.numpy().astype(np.float32)


def normalised(x: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """[H, W, 3] in [0, 1] -> [3, H, W]."""
    return torch.tensor((x - np.array(mean)) / np.array(std)).permute(2, 0, 1)


def blurred(x: np.ndarray) -> np.ndarray:
    """[H, W, 3]; Gaussian of 11 x 11 pixels, sigma 5, weights summing to 1, edges reflected: the sum written out."""
    height, width, _ = x.shape
    weights = {(i, j): np.exp(-(i * i + j * j) / 50) for i in range(-5, 6) for j in range(-5, 6)}
    total = sum(weights.values())
    padded = np.pad(x, ((5, 5), (5, 5), (0, 0)), mode="reflect")
    result = np.zeros_like(x)
    for (i, j), weight in weights.items():
        result += weight / total * padded[5 + i : 5 + i + height, 5 + j : 5 + j + width]
    return result


def output(model: nn.Module, image: Tensor) -> Tensor:
    """The native output [E or C] of one normalised picture [3, H, W], in float64."""
    model = copy.deepcopy(model).double().eval()
    tower = getattr(model, "visual", model)
    with torch.no_grad():
        made = tower(image.double()[None])
    made = made[0] if isinstance(made, tuple) else made
    return made.flatten(0, -2)[0]


def trapezoid(y: list[float], x: list[float]) -> float:
    return sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1))
