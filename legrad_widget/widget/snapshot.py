"""A picture of what the widget shows, with what one must know to read it: target, method, layers, score and scale."""

from __future__ import annotations

import base64
import html
import math
import re
from dataclasses import replace
from io import BytesIO
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


_FONT = "system-ui, sans-serif"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no place for."""


def snapshot(widget: LeGradWidget, *, width: int = 640) -> Image.Image:
    """The picture; see :meth:`LeGradWidget.snapshot`."""
    x = drawn(widget)
    if isinstance(width, bool) or not isinstance(width, int) or not 200 <= width <= 4096:
        raise Refused(f"width is a number of pixels from 200 to 4096; arrived: {width!r}")
    chosen = merging(widget, x)
    seen = overlay(widget, x, chosen, width)
    top, title, plain = MARGIN + 3 * LINE, _font(18, bold=True), _font(12)
    canvas = Image.new("RGB", (width + 2 * MARGIN, top + seen.height + 3 * LINE + MARGIN), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((MARGIN, MARGIN), _fitted(x.label, title, width), font=title, fill=INK)
    pen.text((MARGIN, MARGIN + LINE + 6), _fitted(_facts(x, chosen), plain, width), font=plain, fill=DIM)
    canvas.paste(seen, (MARGIN, top))
    bar = top + seen.height + 12
    canvas.paste(_colours(x, widget.colormap, width), (MARGIN, bar))
    for words, at in _ends(x, chosen):
        words = _fitted(words, plain, width)
        pen.text((MARGIN + at * (width - plain.getlength(words)), bar + BAR + 4), words, font=plain, fill=DIM)
    return canvas


def png(widget: LeGradWidget) -> bytes:
    """The picture as a file."""
    return _png(snapshot(widget))


def svg(widget: LeGradWidget, *, width: int = 640) -> str:
    """The picture as a drawing: text as text, the map over the picture and the colour bar embedded. No network."""
    x = drawn(widget)
    chosen = merging(widget, x)
    seen = overlay(widget, x, chosen, 2 * width)
    height, top = seen.height // 2, MARGIN + 3 * LINE
    bar = top + height + 12
    across, down = width + 2 * MARGIN, bar + BAR + LINE + MARGIN
    lines = [
        (MARGIN, MARGIN + 18, f'font-size="18" font-weight="600" fill="{INK}"', _fitted(x.label, _font(18), width)),
        (MARGIN, MARGIN + 44, f'font-size="12" fill="{DIM}"', _fitted(_facts(x, chosen), _font(12), width)),
    ]
    for words, at in _ends(x, chosen):
        anchor = ' text-anchor="end"' if at else ""
        lines.append((MARGIN + at * width, bar + BAR + 16, f'font-size="12" fill="{DIM}"{anchor}', words))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{across}" '
            f'height="{down}" viewBox="0 0 {across} {down}" font-family="{_FONT}">',
            f"<title>{_xml(x.label)}</title>",
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            _image(seen, MARGIN, top, width, height),
            _image(_colours(x, widget.colormap, width), MARGIN, bar, width, BAR),
            *(f'<text x="{left}" y="{y}" {look}>{_xml(words)}</text>' for left, y, look, words in lines),
            "</svg>",
        ]
    )


def drawn(widget: LeGradWidget) -> Explanation:
    """The explanation on the screen.

    Raises:
        Refused: there is none; the sentence says why.
    """
    x = widget.explanation
    if x is None:
        known = widget._answer
        why = (first_error(known) if known else "") or widget.status.message or "nothing was asked yet"
        raise Refused(f"there is no map to take a picture of: {why}")
    return x


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


def _facts(x: Explanation, chosen: dict[str, Any]) -> str:
    """What one must know to read the map, on one line."""
    facts = [find(x.method).title, layer_words(x, chosen), f"{x.score_name} {x.score:.3g}"]
    if x.probability is not None:
        facts.append(f"p = {x.probability:.2g} ({x.probability_of})")
    if x.supported is False:
        facts.append("the model does not see it here")
    return " · ".join(facts)


def _colours(x: Explanation, name: str, width: int) -> Image.Image:
    """The colour bar."""
    colours = matplotlib.colormaps["RdBu_r" if x.signed else name](np.linspace(0, 1, width))[:, :3]
    bar = np.broadcast_to((255 * colours).round().astype(np.uint8), (BAR, width, 3))
    return Image.fromarray(np.ascontiguousarray(bar))


def _ends(x: Explanation, chosen: dict[str, Any]) -> list[tuple[str, int]]:
    """The raw values at the ends of the bar, left (0) and right (1); a sentence where the map is flat."""
    if not x.merged(**chosen).any():
        return [("a flat map: nothing here speaks for this target", 0)]
    raw = x.raw(**chosen)
    high = float(np.abs(raw).max()) if x.signed else float(raw.max())
    return [(f"{-high if x.signed else float(raw.min()):.3g}", 0), (f"{high:.3g}", 1)]


def _fitted(words: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Words on one line, cut to fit."""
    words = " ".join(words.split())
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(words + "…") > width:
        words = words[:-1]
    return words.rstrip() + "…"


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The typeface that comes with matplotlib: the same picture on every machine."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(file), size)


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _image(picture: Image.Image, left: int, top: int, width: int, height: int) -> str:
    place = f'x="{left}" y="{top}" width="{width}" height="{height}" preserveAspectRatio="none"'
    return f'<image {place} xlink:href="data:image/png;base64,{base64.b64encode(_png(picture)).decode()}"/>'


def _xml(words: str) -> str:
    return html.escape(_NOT_XML.sub("", words))
