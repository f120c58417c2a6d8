"""Backgrounds drawn from noise: seven with a name that can be prompted, seven without.

Lengths are in *units*: a scene is 64 units wide whatever its size in pixels, so the same texture can be drawn
small for training and large for display.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[Any]
SCENE_UNITS = 64


def fractal(
    rng: np.random.Generator,
    units: float,
    scale: float,
    octaves: int = 5,
    cells: float = 1.0,
    decay: float = 0.55,
) -> Array:
    """Return smooth noise in [0, 1], `[units * scale] ** 2`; `cells` is the coarsest number of cells per scene."""
    pixels = round(units * scale)
    out = np.zeros((pixels, pixels), np.float32)
    for octave in range(octaves + round(np.log2(max(scale, 1.0)))):
        count = max(1, round(cells * 2**octave * units / SCENE_UNITS))
        if count > pixels:
            break
        noise = Image.fromarray(rng.random((count + 1, count + 1), dtype=np.float32))
        out += decay**octave * np.asarray(noise.resize((pixels, pixels), Image.Resampling.BICUBIC))
    out -= out.min()
    return out / max(float(out.max()), 1e-6)


def stretched(noise: Array, rows: float = 1.0, columns: float = 1.0) -> Array:
    """Return noise stretched along an axis and cut back to its size."""
    height, width = noise.shape
    picture = Image.fromarray(noise).resize((round(width * columns), round(height * rows)), Image.Resampling.BILINEAR)
    return np.asarray(picture)[:height, :width]


def ramp(t: Array, colours: Sequence[Sequence[float] | Array]) -> Array:
    """Return t in [0, 1] mapped through a list of RGB colours, `[H, W, 3]` float."""
    stops = np.asarray(colours, np.float32)
    position = np.clip(t, 0, 1) * (len(stops) - 1)
    low = np.clip(position.astype(int), 0, len(stops) - 2)
    part = (position - low)[..., None]
    return stops[low] * (1 - part) + stops[low + 1] * part


def any_colour(rng: np.random.Generator, low: float = 0, high: float = 255) -> Array:
    """Return a random RGB colour."""
    return rng.uniform(low, high, 3).astype(np.float32)


def coordinates(units: float, scale: float) -> tuple[Array, Array]:
    """Return y and x in units, each `[units * scale] ** 2`."""
    pixels = round(units * scale)
    y, x = np.mgrid[0:pixels, 0:pixels].astype(np.float32) / scale
    return y, x


def grass(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Blades in three greens."""
    blades = stretched(rng.random((round(units * scale), round(units * scale)), dtype=np.float32), rows=5)
    blades = stretched(blades, rows=max(scale / 2, 1), columns=max(scale / 2, 1))
    light = 0.6 * blades + 0.4 * fractal(rng, units, scale)
    return ramp(light, [(18, 60, 12), (50, 120, 30), (110 + rng.uniform(-20, 30), 170, 60)])


def snow(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Soft drifts with a few specks."""
    drift = ramp(fractal(rng, units, scale, 5, 0.7, 0.5), [(205, 215, 232), (232, 238, 247), (252, 253, 255)])
    pixels = round(units * scale)
    specks = Image.fromarray((rng.random((pixels, pixels)) < 0.004 / scale**2).astype(np.uint8) * 255)
    shade = np.asarray(specks.filter(ImageFilter.GaussianBlur(scale)), np.float32) / 255 * 6 * scale**2
    return drift * (1 - 0.25 * np.clip(shade, 0, 1)[..., None])


def sand(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Ripples and grain."""
    y, _ = coordinates(units, scale)
    ripples = np.sin(2 * np.pi * (y * rng.uniform(6, 14) / 192 + 1.2 * fractal(rng, units, scale, 3, 0.7))) * 0.5 + 0.5
    grain = rng.random(y.shape, dtype=np.float32)
    return ramp(
        0.5 * ripples + 0.3 * grain + 0.2 * fractal(rng, units, scale),
        [(180, 140, 85), (220, 185, 125), (242, 215, 165)],
    )


def water(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Waves in three blues."""
    y, x = coordinates(units, scale)
    swell = (
        y * rng.uniform(7, 16) / 192 + 1.5 * fractal(rng, units, scale, 4) + 0.3 * np.sin(x * rng.uniform(5, 20) / 192)
    )
    return ramp(np.sin(2 * np.pi * swell) * 0.5 + 0.5, [(10, 60, 120), (30, 110, 180), (120, 190, 225)])


def bricks(rng: np.random.Generator, units: float, scale: float) -> Array:
    """A wall of shifted bricks with mortar."""
    y, x = coordinates(units, scale)
    height = int(rng.integers(10, 18))
    row = (y // height).astype(int)
    shifted = x + (row % 2) * height
    column = (shifted // (2 * height)).astype(int)
    tone = rng.uniform(-25, 25, 4000)[(row * 131 + column) % 4000][..., None]
    wall = np.asarray((165, 75, 55), np.float32) + tone + 25 * (rng.random((*y.shape, 1), dtype=np.float32) - 0.5)
    wall[(y % height < 2) | (shifted % (2 * height) < 2)] = (200, 190, 180)
    return wall


def wood(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Planks with grain."""
    _, x = coordinates(units, scale)
    grain = x * rng.uniform(4, 9) / 192 + stretched(fractal(rng, units, scale, 4), rows=4)
    planks = ramp(np.sin(2 * np.pi * grain) * 0.5 + 0.5, [(95, 55, 25), (140, 90, 45), (175, 120, 70)])
    planks[:, x[0] % (192 // int(rng.integers(3, 6))) < 1] *= 0.5
    return planks


def night_sky(rng: np.random.Generator, units: float, scale: float) -> Array:
    """A dark sky with stars."""
    y, _ = coordinates(units, scale)
    sky = ramp(0.5 * y / units + 0.5 * fractal(rng, units, scale, 4, 0.7), [(5, 5, 25), (20, 20, 60), (45, 30, 90)])
    for _ in range(int(rng.integers(60, 160) * (units / 192) ** 2)):
        top, left, light = rng.uniform(0, units - 1), rng.uniform(0, units - 1), rng.uniform(170, 255)
        row, column = round(top * scale), round(left * scale)
        side = max(1, round(scale * 0.75))
        sky[row : row + side, column : column + side] = light
    return sky


def gradient(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Two or three colours in one direction."""
    y, x = coordinates(units, scale)
    angle = rng.uniform(0, 2 * np.pi)
    t = x * np.cos(angle) + y * np.sin(angle)
    return ramp((t - t.min()) / np.ptp(t), [any_colour(rng) for _ in range(int(rng.integers(2, 4)))])


def plasma(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Four colours mixed by noise."""
    return ramp(fractal(rng, units, scale, 6, rng.uniform(0.7, 2)), [any_colour(rng) for _ in range(4)])


def speckle(rng: np.random.Generator, units: float, scale: float) -> Array:
    """One colour with noise."""
    pixels = round(units * scale)
    return any_colour(rng, 40, 215) + rng.uniform(0, 60) * rng.standard_normal((pixels, pixels, 3), dtype=np.float32)


def stripes(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Two colours in bars."""
    y, x = coordinates(units, scale)
    angle = rng.uniform(0, np.pi)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(3, 20) / 192)
    return ramp((wave > rng.uniform(-0.5, 0.5)).astype(np.float32), [any_colour(rng), any_colour(rng)])


def checks(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Two colours in squares."""
    y, x = coordinates(units, scale)
    per_unit = rng.uniform(4, 20) / 192
    return ramp((np.floor(x * per_unit) + np.floor(y * per_unit)) % 2, [any_colour(rng), any_colour(rng)])


def blobs(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Two colours in rounded patches."""
    return ramp(
        (fractal(rng, units, scale, 4, 1.3) * 6 % 1 > 0.5).astype(np.float32),
        [any_colour(rng), any_colour(rng)],
    )


def shapes(rng: np.random.Generator, units: float, scale: float) -> Array:
    """Ellipses, boxes, triangles and lines."""
    pixels = round(units * scale)
    colour = lambda: tuple(int(value) for value in any_colour(rng))  # noqa: E731
    picture = Image.new("RGB", (pixels, pixels), colour())
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(6, 30) * max((units / 192) ** 2, 0.3))):
        x, y = (float(value) * scale for value in rng.uniform(-20, units, 2))
        w, h = (float(value) * scale for value in rng.uniform(6, 70, 2))
        kind = rng.integers(0, 4)
        if kind == 0:
            draw.ellipse((x, y, x + w, y + h), fill=colour())
        elif kind == 1:
            draw.rectangle((x, y, x + w, y + h), fill=colour())
        elif kind == 2:
            draw.polygon([(x, y), (x + w, y + h / 2), (x + w / 3, y + h)], fill=colour())
        else:
            draw.line((x, y, x + w, y + h), fill=colour(), width=max(1, round(float(rng.uniform(2, 8)) * scale)))
    return np.asarray(picture, np.float32)


NAMED: dict[str, Callable[[np.random.Generator, float, float], Array]] = {
    "grass": grass, "snow": snow, "sand": sand, "water": water, "bricks": bricks, "wood": wood, "night sky": night_sky,
}  # fmt: skip
UNNAMED = {function.__name__: function for function in (gradient, plasma, speckle, stripes, checks, blobs, shapes)}


def texture(rng: np.random.Generator, name: str, units: float = SCENE_UNITS, scale: float = 1.0) -> Array:
    """Draw one background, `[units * scale, units * scale, 3]` uint8."""
    draw = NAMED.get(name) or UNNAMED[name]
    return np.clip(draw(rng, units, scale), 0, 255).astype(np.uint8)
