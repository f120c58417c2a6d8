"""Playback over depth: one frame for each layer, as a GIF or WebP."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from . import atomic_file

if TYPE_CHECKING:
    from .explanation import Explanation

Kind = Literal["gif", "webp"]
HOLD = 3
"""The last frame stands this many times as long: the end of the film can be looked at."""
STRIP = 26
INK, PAPER, TRACK, BAR = "#1d2227", "#ffffff", "#dde1e5", "#1769aa"


def animation(
    x: Explanation, path: str | os.PathLike[str] | None, *, seconds: float, width: int, kind: Kind | None, look: Any
) -> bytes | Path:
    """The film; see :meth:`Explanation.animation`."""
    kind = _kind(path, kind)
    if not 0.02 <= seconds <= 60:
        raise ValueError(f"seconds is the time of one layer, from 0.02 to 60; arrived: {seconds!r}")
    if isinstance(width, bool) or not isinstance(width, int) or not 64 <= width <= 4096:
        raise ValueError(f"width is a number of pixels from 64 to 4096; arrived: {width!r}")
    frames = [_frame(x, layer, width, look) for layer in x.layers]
    each = round(1000 * seconds)
    times = [each] * (len(frames) - 1) + [HOLD * each]
    film = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": times, "loop": 0}
    if kind == "webp":
        frames[0].save(film, "WEBP", quality=90, method=4, **options)
    else:
        # One palette for all frames, so that a colour means the same value throughout.
        frames = _with_one_palette(frames)
        frames[0].save(film, "GIF", optimize=False, disposal=1, **options | {"append_images": frames[1:]})
    return film.getvalue() if path is None else atomic_file.write(path, film.getvalue())


def _kind(path: str | os.PathLike[str] | None, kind: Kind | None) -> Kind:
    suffix = Path(path).suffix.lower().removeprefix(".") if path is not None else ""
    found = kind or suffix or "gif"
    if found not in get_args(Kind):
        raise ValueError(f"an animation is a .gif or a .webp: x.animation('depth.gif'); arrived: {found!r}")
    if kind and suffix and suffix != kind:
        raise ValueError(f"kind is {kind!r}, but the file is called {Path(str(path)).name}: leave kind out")
    return "webp" if found == "webp" else "gif"


def _frame(x: Explanation, layer: int, width: int, look: Any) -> Image.Image:
    """One layer's map over the picture, with its number and a bar that shows how deep it is."""
    height = max(1, round(width * x.picture.height / x.picture.width))
    frame = Image.new("RGB", (width, height + STRIP), PAPER)
    frame.paste(x.overlay(layer, size=(height, width), **look), (0, 0))
    pen = ImageDraw.Draw(frame)
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 12)
    pen.text((6, height + 6), f"layer {layer}", font=font, fill=INK)
    left, right, middle = 84, width - 8, height + STRIP // 2
    if right > left:
        done = x.layers.index(layer) + 1
        pen.rectangle((left, middle - 2, right, middle + 1), fill=TRACK)
        pen.rectangle((left, middle - 2, left + round((right - left) * done / len(x.layers)), middle + 1), fill=BAR)
    return frame


def _with_one_palette(frames: list[Image.Image]) -> list[Image.Image]:
    """The frames in the 256 colours that suit all of them best."""
    width, height = frames[0].size
    sheet = Image.new("RGB", (width, height * len(frames)))
    for at, frame in enumerate(frames):
        sheet.paste(frame, (0, at * height))
    palette = sheet.quantize(256, method=Image.Quantize.MEDIANCUT)
    return [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
