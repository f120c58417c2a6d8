"""One HTML file with the live widget and no kernel: no network, under the strictest policy that runs a script.

The page holds the built front end, the traits, the picture and every answer that is to be had without computing:
the one on the screen, and for its targets what the widget remembers of other methods. ``js/src/saved.ts`` is its
kernel. :func:`assemble` makes the inspector's page too: see ``inspect_page``.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget

from .. import atomic_file
from ..method import find
from . import wire
from .rules import Refused
from .view import drawing, merging
from .wire import Outcome, Status

if TYPE_CHECKING:
    from ..explanation import Explanation
    from .answer import Answer
    from .chips import Chip
    from .explorer import LeGradWidget
    from .question import Photo, Question

POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data: blob:"
GENERATOR = "legrad_widget"
_STATIC = Path(__file__).parent.parent / "static"
_SECOND = {"widget": "live.js", "inspect": "gallery.js"}
"""By the first file of the front end, the second one that a page needs."""
_ELSEWHERE = {"_request", "_look", "_result", "_comparison", "_tools", "_status"}
"""Traits of a conversation with a kernel; the page has its own."""
_STYLE = """
:root { color-scheme: light dark; background: light-dark(#fff, #111315); color: light-dark(#1d2227, #e4e7ea); }
body { margin: 0; padding: clamp(8px, 3vw, 28px); font: 13px/1.5 system-ui, sans-serif; }
h1, h2 { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }
main, footer, noscript { display: block; max-width: 1080px; margin: 0 auto; }
footer { padding-top: 10px; color: light-dark(#5d6670, #9ba4ad); font-size: 12px; overflow-wrap: anywhere; }
#root [data-testid="chip"] > button:last-child { padding-inline-end: 11px; }
noscript img { display: block; max-width: 100%; height: auto; margin-top: 10px; }
noscript table { border-collapse: collapse; margin-top: 10px; }
noscript caption { padding-bottom: 6px; text-align: start; }
noscript :is(th, td) { padding: 2px 14px 2px 0; text-align: start; overflow-wrap: anywhere; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="{generator}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{heading}</h1>
<h2>{title}</h2>
<main id="root"></main>
<noscript>{instead}</noscript>
<footer>{footer}</footer>
<script type="application/json" id="state">{state}</script>
<script type="application/json" id="widget">{widget}</script>
<script type="application/json" id="live">{live}</script>
<script type="module">{script}</script>
</body>
</html>
"""


@dataclass(frozen=True, repr=False)
class StaticPage:
    """A saved page as the output of a cell: an inline frame that needs neither kernel nor network nor extension."""

    html: str = field(repr=False)
    title: str
    height: int

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {self.height}px; border: 0; resize: vertical"
        # Scripts are let in, and files that somebody asks for are let out. The frame has an origin of its own, and
        # reaches nothing of the notebook.
        return (
            f'<iframe title="{text(self.title)}" sandbox="allow-scripts allow-downloads" loading="lazy" '
            f'style="{style}" srcdoc="{html.escape(self.html)}"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<StaticPage {self.title!r}: {len(self.html) / 1000:.0f} kB, {self.height} px high>"


def to_html(widget: LeGradWidget, *, history: bool = False) -> str:
    """The page, in ASCII; see :meth:`LeGradWidget.save_html`.

    Raises:
        ValueError: there is no picture yet. FileNotFoundError: the front end is not built.
    """
    with widget._settled:
        photo = widget._shown
        if photo is None:
            raise Refused("there is no picture to save yet: set w.image, or choose one in the widget")
        state = _state(widget, photo, history=history)
        seen = widget.explanation
    picture = seen.overlay(**merging(widget, seen), **drawing(widget)) if seen is not None else photo.picture
    assert picture is not None  # it is shown
    name = title(widget)
    about = f"{name}. This page is interactive where scripts may run; without them it is this picture."
    alt = text(f"The picture with the heat map of {name}")
    return assemble(
        heading="Heat maps of a vision transformer",
        title=name,
        instead=f'<p>{text(about)}</p>\n<img alt="{alt}" src="{_data_url(picture)}">',
        footer=f"Model: {widget.model.name}.",
        state=state,
    )


def save_html(widget: LeGradWidget, path: str | os.PathLike[str], *, history: bool, overwrite: bool) -> Path:
    """Write the page; see :meth:`LeGradWidget.save_html`."""
    file = free_to_write(path, overwrite=overwrite)
    return atomic_file.write(file, to_html(widget, history=history).encode("ascii"))


def assemble(
    *,
    heading: str,
    title: str,
    instead: str,
    footer: str,
    state: dict[str, Any],
    front_end: str = "widget",
    script: str = "page",
) -> str:
    """A page, in ASCII. All words are plain text but ``instead``.

    Args:
        heading, title: of what kind it is, and what it is about.
        instead: HTML in ASCII, for browsers that may run no script.
        footer: what is said below, after the version.
        state: the traits, and whatever the page's kernel reads; JSON with bytes in it.
        front_end: which anywidget module and style, and their second file. script: the script that runs it.

    Raises:
        FileNotFoundError: the front end is not built.
    """
    return _PAGE.format(
        policy=html.escape(POLICY, quote=False),
        generator=f"{GENERATOR} {_version()}",
        heading=text(heading),
        title=text(title),
        style=_STYLE + _css(_front_end(f"{front_end}.css")),
        instead=instead,
        footer=text(f"Saved from legrad_widget {_version()} without a kernel. {footer}"),
        state=_json(state),
        widget=_json(_front_end(f"{front_end}.js")),
        live=_json(_front_end(_SECOND[front_end])),
        script=_front_end(f"{script}.js"),
    )


def free_to_write(path: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """The file, unless it is somebody else's.

    Raises:
        FileExistsError: it is there, and no page of ours.
    """
    file = Path(path).expanduser()
    if file.is_file() and not overwrite and not _is_page(file):
        raise FileExistsError(f"{file} is there and is no page of legrad_widget; overwrite=True replaces it")
    return file


def title(widget: LeGradWidget) -> str:
    """What the page is about, in words."""
    about = widget.model.target(widget.targets[widget.active]).label if widget.targets else "a picture"
    return f"{about}, by {find(widget.method).title}"


def _state(widget: LeGradWidget, photo: Photo, *, history: bool) -> dict[str, Any]:
    """The traits of the page, with bytes in them."""
    own = set(type(widget).class_traits(sync=True)) - set(anywidget.AnyWidget.class_traits(sync=True))
    state: dict[str, Any] = widget.get_state(sorted(own - _ELSEWHERE))
    state |= {"_static": True, "_saved": [], "_tools": {}, "_status": Status().wire}
    given = widget._answer
    if given is None or given.question.photo is not photo:
        return state
    chips, answers = _answers(widget, given, history=history)
    saved = [answer["method"] for answer in answers]
    return state | {
        "targets": [chip.wire for chip in chips],
        "method": given.question.method.name,
        "knobs": dict(given.question.knobs),
        "compared": widget.compared or [entry["name"] for entry in widget._catalogue if entry["name"] in saved],
        "_saved": answers,
        "_tools": {name: entry for name, entry in widget._tools.items() if _stands(entry, answers[0]["rev"])},
    }


def _answers(widget: LeGradWidget, given: Answer, *, history: bool) -> tuple[list[Chip], list[dict[str, Any]]]:
    """The targets, and one answer about all of them for each method; the one on the screen comes first."""
    question, photo = given.question, given.question.photo
    shown = int(widget._result.get("rev", 1))  # what tools found is about the answer of this rev
    known: dict[Question, Explanation] = {}
    if not photo.stale:
        known = {past: x for past, x in widget._memory.known if past.photo is photo and _holds(past, question)}
    chips = list(question.chips)
    if history:
        chips += [chip for chip in dict.fromkeys(past.chips[0] for past in known) if chip not in chips]
    by_method = {question.method.name: question}
    for past in sorted(known, key=lambda past: bool(past.knobs)):  # of several settings the defaults are kept
        by_method.setdefault(past.method.name, past)
    answers: list[dict[str, Any]] = []
    for by in by_method.values():
        outcomes = [_outcome(chip, by, known) for chip in chips]
        if by is question:
            outcomes[: len(given.outcomes)] = given.outcomes
        elif all(outcome.explanation is None for outcome in outcomes):
            continue
        answers.append(
            wire.result(
                chips,
                outcomes,
                method=by.method,
                knobs=dict(by.knobs),
                depth=widget._scope.depth,
                grid=given.grid,
                rid=None,
                rev=shown + len(answers),
                image_rev=photo.rev,
                predictions=photo.predictions,
                predictions_of=photo.predictions_of,
            )
        )
    return chips, answers


def _stands(entry: dict[str, Any] | None, rev: int) -> bool:
    """Whether what a tool found is whole, and about the answer on the screen."""
    return entry is not None and entry.get("state") == "done" and entry.get("rev") == rev


def _holds(past: Question, question: Question) -> bool:
    """Whether an answer from memory still holds beside the targets of today."""
    return not past.method.together or set(past.chips) == set(question.chips)


def _outcome(chip: Chip, by: Question, known: dict[Question, Explanation]) -> Outcome:
    for past, explanation in known.items():
        if past.chips[0] == chip and (past.method.name, past.knobs) == (by.method.name, by.knobs):
            return Outcome(explanation)
    return Outcome(error=f"Not in this saved page: {by.method.title} was not asked about it.")


def _json(value: Any) -> str:
    """JSON in ASCII that can stand in a script element: no "<" in it ends one, or opens a comment."""
    return json.dumps(value, default=_bytes, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _bytes(value: Any) -> dict[str, str]:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"{type(value).__name__} has no place in a saved page")


def _css(rules: str) -> str:
    """Style rules in ASCII that cannot end their element."""
    return re.sub(r"[^\x00-\x7f]", lambda letter: f"\\{ord(letter[0]):x} ", rules).replace("</", "<\\/")


def text(words: str) -> str:
    """Words as HTML in ASCII; half of a character that is written as two becomes the replacement character."""
    return html.escape(words).encode("ascii", "xmlcharrefreplace").decode("ascii")


def _data_url(picture: Any) -> str:
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _front_end(name: str) -> str:
    file = _STATIC / name
    if not file.is_file():
        raise FileNotFoundError(
            f"the front end of legrad_widget is not built ({name} is missing); in the project's folder run: "
            "cd js && npm ci && npm run build"
        )
    return file.read_text(encoding="utf-8")


def _is_page(file: Path) -> bool:
    with file.open("rb") as opened:
        return f'<meta name="generator" content="{GENERATOR} '.encode() in opened.read(2000)


def _version() -> str:
    import legrad_widget

    return legrad_widget.__version__
