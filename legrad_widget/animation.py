"""Playback over depth: one frame for each layer, as a GIF, WebP or MP4."""

from __future__ import annotations

import io
import math
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from . import atomic_file

if TYPE_CHECKING:
    from .explanation import Explanation

Kind = Literal["gif", "webp", "mp4"]
HOLD = 3
"""The last frame stands this many times as long: the end of the film can be looked at."""
STRIP = 26
SLOWEST = 10
"""Frames of a video in a second, at least: players stumble over fewer."""
CONSTANT_QUALITY = "18"
"""x264's crf: to the eye like the frames themselves."""
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
    encode = _encoder() if kind == "mp4" else _still_by_still
    film = encode([_frame(x, layer, width, look) for layer in x.layers], seconds, kind)
    return film if path is None else atomic_file.write(path, film)


def _kind(path: str | os.PathLike[str] | None, kind: Kind | None) -> Kind:
    suffix = Path(path).suffix.lower().removeprefix(".") if path is not None else ""
    found = kind or suffix or "gif"
    if found not in get_args(Kind):
        raise ValueError(f"an animation is a .gif, a .webp or a .mp4: x.animation('depth.gif'); arrived: {found!r}")
    if kind and suffix and suffix != kind:
        raise ValueError(f"kind is {kind!r}, but the file is called {Path(str(path)).name}: leave kind out")
    return cast(Kind, found)


def _still_by_still(frames: list[Image.Image], seconds: float, kind: Kind) -> bytes:
    """A GIF or WebP, which say of each frame how long it stands."""
    each = round(1000 * seconds)
    times = [each] * (len(frames) - 1) + [HOLD * each]
    film = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "duration": times, "loop": 0}
    if kind == "webp":
        frames[0].save(film, "WEBP", quality=90, method=4, append_images=frames[1:], **options)
    else:
        # One palette for all frames, so that a colour means the same value throughout.
        frames = _with_one_palette(frames)
        frames[0].save(film, "GIF", optimize=False, disposal=1, append_images=frames[1:], **options)
    return film.getvalue()


def _encoder() -> Any:
    """What makes a video, asked for before any frame is drawn."""
    try:
        imageio: Any = import_module("imageio.v2")
        import_module("imageio_ffmpeg")  # the encoder itself, which imageio looks for only when it writes
    except ImportError:
        raise ModuleNotFoundError(
            'an .mp4 needs imageio and imageio-ffmpeg: pip install "legrad-widget[video]", or write a .gif or .webp'
        ) from None

    def video(frames: list[Image.Image], seconds: float, _kind: Kind) -> bytes:
        """H.264 in colours that every player shows; it has one rate for all frames, so each is written many times."""
        times = math.ceil(SLOWEST * seconds)
        shown = [frame for frame in frames for _ in range(times)] + frames[-1:] * (HOLD - 1) * times
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "film.mp4"
            options = {"codec": "libx264", "pixelformat": "yuv420p", "quality": None, "macro_block_size": 1}
            # The index in front: a browser plays it before all of it is there.
            parameters = ["-crf", CONSTANT_QUALITY, "-movflags", "+faststart"]
            with imageio.get_writer(
                file, format="FFMPEG", fps=times / seconds, output_params=parameters, **options
            ) as writer:
                for frame in shown:
                    writer.append_data(_with_even_sides(frame))
            return file.read_bytes()

    return video


def _with_even_sides(frame: Image.Image) -> NDArray[np.uint8]:
    """Colours are kept for 2 x 2 pixels together: an odd side gets one line more, of the last one's colours."""
    pixels = np.asarray(frame, dtype=np.uint8)
    return np.pad(pixels, ((0, frame.height % 2), (0, frame.width % 2), (0, 0)), mode="edge")


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
