"""A picture of what the widget shows, with what one must know to read it: target, method, layers, score and scale."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..method import find
from .answer import first_error
from .rules import Refused
from .view import drawing, layer_words, merging

if TYPE_CHECKING:
    from ..explanation import Explanation
    from .explorer import LeGradWidget

INK, DIM, PAPER = "#1d2227", "#5d6670", "#ffffff"
MARGIN, BAR, LINE = 20, 12, 22


def snapshot(widget: LeGradWidget, *, width: int = 640) -> Image.Image:
    """The picture; see :meth:`LeGradWidget.snapshot`."""
    x = widget.explanation
    if x is None:
        known = widget._answer
        why = (first_error(known) if known else "") or widget.status.message or "nothing was asked yet"
        raise Refused(f"there is no map to take a picture of: {why}")
    if isinstance(width, bool) or not isinstance(width, int) or not 200 <= width <= 4096:
        raise Refused(f"width is a number of pixels from 200 to 4096; arrived: {width!r}")
    chosen = merging(widget, x)
    seen = overlay(widget, x, chosen, width)
    facts = [find(x.method).title, layer_words(x, chosen), f"{x.score_name} {x.score:.3g}"]
    if x.probability is not None:
        facts.append(f"p = {x.probability:.2g} ({x.probability_of})")
    if x.supported is False:
        facts.append("the model does not see it here")
    top = MARGIN + 3 * LINE
    canvas = Image.new("RGB", (width + 2 * MARGIN, top + seen.height + 3 * LINE + MARGIN), PAPER)
    pen = ImageDraw.Draw(canvas)
    _line(pen, MARGIN, MARGIN, x.label, _font(18, bold=True), INK, width)
    _line(pen, MARGIN, MARGIN + LINE + 6, " · ".join(facts), _font(12), DIM, width)
    canvas.paste(seen, (MARGIN, top))
    _scale(canvas, pen, top + seen.height + 12, width, x, chosen, widget.colormap)
    return canvas


def overlay(widget: LeGradWidget, x: Explanation, chosen: dict[str, Any], width: int) -> Image.Image:
    """``x.overlay`` as the browser draws it, ``width`` pixels wide."""
    size = (max(1, round(width * x.picture.height / x.picture.width)), width)
    if widget.smooth:
        return x.overlay(**chosen, size=size, **drawing(widget))
    # Every patch becomes many equal ones, so that interpolating between them shows as flat patches.
    raw = x.raw(**chosen)
    times = math.ceil(2 * max(size) / min(raw.shape))
    fine = np.kron(raw, np.ones((times, times), np.float32))[None]
    flat = replace(x, maps=fine, heads=None, prefix=None, layers=(1,), scores=np.full(1, np.nan, np.float32))
    return flat.overlay(size=size, **drawing(widget))


def _scale(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, y: int, width: int, x: Explanation, chosen: dict[str, Any], name: str
) -> None:
    """The colour bar with the raw values at its ends."""
    raw = x.raw(**chosen)
    low, high = (
        (-float(np.abs(raw).max()), float(np.abs(raw).max())) if x.signed else (float(raw.min()), float(raw.max()))
    )
    colours = matplotlib.colormaps["RdBu_r" if x.signed else name](np.linspace(0, 1, width))[:, :3]
    bar = np.broadcast_to((255 * colours).round().astype(np.uint8), (BAR, width, 3))
    canvas.paste(Image.fromarray(np.ascontiguousarray(bar)), (MARGIN, y))
    font, below = _font(12), y + BAR + 4
    if not x.merged(**chosen).any():
        _line(pen, MARGIN, below, "a flat map: nothing here speaks for this target", font, DIM, width)
        return
    _line(pen, MARGIN, below, f"{low:.3g}", font, DIM, width)
    end = f"{high:.3g}"
    pen.text((MARGIN + width - font.getlength(end), below), end, font=font, fill=DIM)


def _line(
    pen: ImageDraw.ImageDraw, x: int, y: int, words: str, font: ImageFont.FreeTypeFont, ink: str, width: int
) -> None:
    """One line of text, cut to fit."""
    words = " ".join(words.split())
    if font.getlength(words) > width:
        while words and font.getlength(words + "…") > width:
            words = words[:-1]
        words = words.rstrip() + "…"
    pen.text((x, y), words, font=font, fill=ink)


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The typeface that comes with matplotlib: the same picture on every machine."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(file), size)
