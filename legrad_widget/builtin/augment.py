"""Changed looks of a sprite, so that the model learns things and not one drawing style."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .compose import visible

Array = NDArray[Any]


def warped(
    rng: np.random.Generator, tile: Image.Image, size: float, *, turn: float = 30, bend: float = 0.08
) -> Image.Image:
    """Return a premultiplied tile `size` pixels large, mirrored, turned by up to `turn` degrees and bent."""
    source = tile
    while source.width >= 2 * size:
        source = source.reduce(2)
    width = source.width
    out = int(np.ceil(size * 1.3))
    angle = np.deg2rad(rng.uniform(-turn, turn))
    stretch = np.exp(rng.uniform(-0.15, 0.15))
    shear = rng.uniform(-0.12, 0.12) if bend else 0.0
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    # Corners of the output square (north-west, south-west, south-east, north-east), taken back into the source.
    corners = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)], np.float64) * out / size
    turn_back = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    corners = corners @ turn_back.T @ np.array([(1, shear), (0, 1)]).T * (mirror * stretch, 1 / stretch)
    corners += rng.uniform(-bend, bend, (4, 2)) * out / size if bend else 0
    points = (corners + 1) / 2 * width
    return source.transform((out, out), Image.Transform.QUAD, tuple(points.ravel()), Image.Resampling.BILINEAR)


def _hue_matrix(turn: float) -> Array:
    """Return the RGB matrix that turns hue by `turn` of a full circle and keeps grey grey."""
    cos, sin = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    third, root = 1 / 3, np.sqrt(1 / 3)
    a, b, c = cos + (1 - cos) * third, third * (1 - cos) - root * sin, third * (1 - cos) + root * sin
    return np.array([(a, b, c), (c, a, b), (b, c, a)], np.float32)


def recoloured(rng: np.random.Generator, rgb: Array) -> Array:
    """Return colours `[h, w, 3]` in [0, 255] with other hue, saturation, contrast, tones or number of tones."""
    if rng.random() < 0.5:
        rgb = rgb @ _hue_matrix(rng.uniform(-0.5, 0.5) if rng.random() < 0.3 else rng.uniform(-0.08, 0.08)).T
    grey = rgb.mean(-1, keepdims=True)
    rgb = grey + (rgb - grey) * (0.0 if rng.random() < 0.08 else rng.uniform(0.4, 1.6))
    if rng.random() < 0.05:  # one tint from dark to light
        dark, light = rng.uniform(0, 90, 3), rng.uniform(150, 255, 3)
        rgb = dark + (light - dark) * grey / 255
    if rng.random() < 0.04:
        rgb = 255 - rgb
    if rng.random() < 0.15:
        steps = int(rng.integers(3, 7))
        rgb = np.round(rgb / 255 * (steps - 1)) * 255 / (steps - 1)
    rgb = (rgb - 128) * rng.uniform(0.6, 1.35) + 128
    return rgb * rng.uniform(0.88, 1.12, 3) + rng.uniform(-30, 30)


def _grown(alpha: Array, radius: int) -> Array:
    return np.asarray(Image.fromarray(alpha).filter(ImageFilter.MaxFilter(2 * radius + 1)))


def outlined(rng: np.random.Generator, sprite: Array) -> Array:
    """Return a sprite with a dark, light or coloured rim, and sometimes with its inner edges drawn as lines."""
    rgb: Array = sprite[..., :3].astype(np.float32)
    alpha = sprite[..., 3]
    ink = np.full(3, rng.uniform(0, 70)) if rng.random() < 0.7 else rng.uniform(0, 255, 3)
    if rng.random() < 0.5:  # inner edges
        grey = rgb.mean(-1) * (alpha / 255)
        edge = np.abs(np.diff(grey, axis=0, prepend=grey[:1])) + np.abs(np.diff(grey, axis=1, prepend=grey[:, :1]))
        strength = np.clip(edge / rng.uniform(40, 110), 0, 1)[..., None]
        if rng.random() < 0.35:  # a line drawing on a light ground
            rgb = np.full_like(rgb, rng.uniform(190, 255)) * 0.85 + rgb * 0.15
        rgb = rgb * (1 - strength) + ink * strength
    if rng.random() < 0.7:
        rim = _grown(np.pad(alpha, 2), 1 if rng.random() < 0.7 else 2)
        rgb, inner = np.pad(rgb, ((2, 2), (2, 2), (0, 0))), np.pad(alpha, 2)[..., None] / 255.0
        colour = np.full(3, 255.0) if rng.random() < 0.3 else ink
        rgb, alpha = rgb * inner + colour * (1 - inner), rim
    return np.concatenate([rgb, alpha[..., None].astype(np.float32)], -1)


def augmented(rng: np.random.Generator, tile: Image.Image, size: float, *, monochrome: bool = False) -> Array:
    """Return one changed look of a premultiplied tile, `[h, w, 4]` uint8 cropped to what is visible."""
    picture = warped(rng, tile, size).convert("RGBA")
    if rng.random() < 0.12:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    elif rng.random() < 0.1:
        picture = picture.filter(ImageFilter.ModeFilter(3))
    sprite = np.asarray(picture)
    if monochrome:
        sprite = np.array(sprite)
        sprite[..., :3] = np.array(colorsys.hsv_to_rgb(rng.random(), rng.random(), rng.random() ** 0.7)) * 255
    if rng.random() < 0.25:
        sprite = outlined(rng, sprite)
    rgb: Array = sprite[..., :3].astype(np.float32)
    if rng.random() < 0.75:
        rgb = recoloured(rng, rgb)
    if rng.random() < 0.1:
        rgb = rgb + rng.normal(0, rng.uniform(5, 20), rgb.shape)
    out = np.concatenate([np.clip(rgb, 0, 255), sprite[..., 3:]], -1).astype(np.uint8)
    if rng.random() < 0.1:  # a piece cut out
        h, w = out.shape[:2]
        top, left = rng.integers(0, max(1, h * 2 // 3)), rng.integers(0, max(1, w * 2 // 3))
        out[top : top + h // 4, left : left + w // 4, 3] = 0
    return visible(out)


def plain(rng: np.random.Generator, tile: Image.Image, size: float, *, turn: float = 20) -> Array:
    """Return a tile scaled, mirrored and turned a little, its colours unchanged; for evaluation scenes."""
    return visible(np.asarray(warped(rng, tile, size, turn=turn, bend=0).convert("RGBA")))
