"""What travels to the browser: plain dicts with raw float32 maps and one encoded picture."""

from __future__ import annotations

import io
import math
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..method import Method
from .chips import Chip

if TYPE_CHECKING:
    from ..explainer import Model
    from ..explanation import Explanation
    from ..lens import LayerRanks
    from ..reliability import LayerReliability
    from ..support import Prediction

LONGEST_SIDE = 1024
SMALL = 256 * 256
"""Pixels up to which a picture travels as PNG, exactly; a larger one is a JPEG of quality 90."""


HEADS_MOST = 4 * 2**20
"""Bytes of heads beyond which targets go without theirs; the active target's always travel."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the widget is doing: ``state`` "idle", "queued", "running" or "error", and one sentence."""

    state: Literal["idle", "queued", "running", "error"] = "idle"
    rid: str | None = None
    rev: int = 0
    step: int = 0
    total: int = 0
    message: str = ""
    detail: str = ""

    @property
    def wire(self) -> dict[str, Any]:
        """As the browser knows it."""
        return asdict(self)


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """An array as float32, little-endian, in C order."""
    values = np.ascontiguousarray(array, dtype="<f4")
    return {"dtype": "float32", "shape": list(np.shape(array)), "data": values.tobytes()}


def unpack(packed: dict[str, Any]) -> NDArray[np.float32]:
    """The inverse of :func:`pack`."""
    return np.frombuffer(packed["data"], dtype="<f4").reshape(packed["shape"])


def number(value: Any) -> float | None:
    """A finite float, or None where there is none to speak of: JSON has no nan."""
    return float(value) if value is not None and math.isfinite(value) else None


def numbers(values: Iterable[Any]) -> list[float | None]:
    """Each as :func:`number` has it."""
    return [number(value) for value in values]


def image(picture: Image.Image, window: Sequence[float], *, rev: int, name: str) -> dict[str, Any]:
    """``_image``: the picture, at most 1024 pixels a side, and the model's window in original pixels."""
    small = picture.convert("RGB")
    if max(small.size) > LONGEST_SIDE:
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2)
    exact = small.width * small.height <= SMALL
    buffer = io.BytesIO()
    small.save(buffer, "PNG") if exact else small.save(buffer, "JPEG", quality=90)
    return {
        "rev": rev,
        "name": posixpath.basename(name.replace("\\", "/"))[:200],
        "mime": "image/png" if exact else "image/jpeg",
        "data": buffer.getvalue(),
        "width": small.width,
        "height": small.height,
        "original": list(picture.size),
        "window": [float(edge) for edge in window],
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one target: its explanation and its rank at every layer, or the sentence why there is none."""

    explanation: Explanation | None = None
    error: str = ""
    ranks: LayerRanks | None = None


def result(
    chips: Sequence[Chip],
    outcomes: Sequence[Outcome],
    *,
    method: Method,
    knobs: dict[str, Any],
    depth: int,
    grid: tuple[int, int],
    rid: str | None,
    rev: int,
    image_rev: int,
    predictions: Iterable[Prediction] = (),
    predictions_of: str = "",
    first: int = 0,
) -> dict[str, Any]:
    """``_result``: every map of one question, raw, in one piece. A target that failed has maps of zeros.

    ``heads`` is the number of heads of a layer, 0 where the method has none; each target carries the maps of its
    heads [L, H, h, w], or None. They are float32, so that a merge in the browser is Python's: 16 bits, of float16 or
    of steps between a map's ends, are off by more than 1e-5 of a merged map's peak. Instead there are at most
    ``HEADS_MOST`` bytes of them: from target ``first`` on, in order and round, those beyond go without.
    """
    found = [outcome.explanation for outcome in outcomes if outcome.explanation is not None]
    lead = found[0] if found else None
    layers = list(lead.layers) if lead else list(range(1, depth + 1))
    heads = _heads(outcomes, first)
    maps = np.zeros((len(chips), len(layers), *grid), dtype=np.float32)
    for row, outcome in zip(maps, outcomes, strict=True):
        if outcome.explanation is not None:
            row[:] = outcome.explanation.maps
    return {
        "rid": rid,
        "rev": rev,
        "image_rev": image_rev,
        "method": method.name,
        "knobs": dict(knobs),
        "seconds": sum(float(explanation.seconds) for explanation in found),
        "layers": [int(layer) for layer in layers],
        "signed": bool(lead.signed if lead else method.signed),
        "merge": lead.merge if lead else method.merge,
        "default": lead.default if lead else method.default,
        "grid": [int(side) for side in grid],
        "maps": pack(maps),
        "heads": 0 if lead is None or lead.heads is None else int(lead.heads.shape[1]),
        "targets": [
            _entry(chip, outcome, len(layers)) | {"heads": packed}
            for chip, outcome, packed in zip(chips, outcomes, heads, strict=True)
        ],
        "predictions": [
            {"index": int(p.index), "name": str(p.name), "probability": number(p.probability)} for p in predictions
        ],
        "predictions_of": predictions_of,
    }


def _heads(outcomes: Sequence[Outcome], first: int) -> list[dict[str, Any] | None]:
    """The heads of every target, packed; None where there are none, or no room."""
    known = {at: x.heads for at, outcome in enumerate(outcomes) if (x := outcome.explanation) and x.heads is not None}
    packed: list[dict[str, Any] | None] = [None] * len(outcomes)
    room = HEADS_MOST
    for at in sorted(known, key=lambda at: (at - first) % len(outcomes)):
        room -= known[at].nbytes
        if room >= 0 or at == first:
            packed[at] = pack(known[at])
    return packed


def comparison(
    chip: Chip,
    panes: Iterable[tuple[str, dict[str, Any], Outcome]],
    *,
    pending: Iterable[str],
    grid: tuple[int, int],
    rid: str | None,
    rev: int,
    image_rev: int,
) -> dict[str, Any]:
    """``_comparison``: one target under several methods. ``panes``: a method's name, its knobs, what became of it."""
    return {
        "rid": rid,
        "rev": rev,
        "image_rev": image_rev,
        "target": chip.wire,
        "label": label_of(chip),
        "grid": [int(side) for side in grid],
        "panes": [_pane(name, knobs, outcome) for name, knobs, outcome in panes],
        "pending": list(pending),
    }


def _pane(name: str, knobs: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    x = outcome.explanation
    if x is None:
        return {"method": name, "error": outcome.error}
    return {
        "method": name,
        "knobs": knobs,
        "seconds": float(x.seconds),
        "layers": [int(layer) for layer in x.layers],
        "signed": bool(x.signed),
        "merge": x.merge,
        "default": x.default,
        "degenerate": [bool(flag) for flag in x.degenerate],
        "maps": pack(x.maps),
        "error": "",
    }


def label_of(chip: Chip) -> str:
    """How a target is called on screen."""
    wire = chip.wire
    return str(wire.get("text") or wire.get("name") or wire.get("label") or f"class {wire.get('index')}")


def _entry(chip: Chip, outcome: Outcome, depth: int) -> dict[str, Any]:
    x = outcome.explanation
    return {
        "target": chip.wire,
        "label": label_of(chip),
        "score": number(x.score) if x else None,
        "score_name": x.score_name if x else "",
        "probability": number(x.probability) if x else None,
        "probability_of": x.probability_of if x else "",
        "supported": x.supported if x else None,
        "note": x.note if x else "",
        "layer_scores": [number(score) for score in x.scores] if x and x.scores is not None else None,
        "ranks": None if outcome.ranks is None else numbers(outcome.ranks.ranks),
        "fitted_ranks": numbers(outcome.ranks.fitted) if outcome.ranks and outcome.ranks.fitted is not None else None,
        "ranks_of": outcome.ranks.of if outcome.ranks else 0,
        "ranks_among": outcome.ranks.among if outcome.ranks else "",
        "degenerate": [bool(flag) for flag in x.degenerate] if x else [True] * depth,
        "error": outcome.error,
    }


def catalogue(methods: Iterable[Method], vit: Any) -> list[dict[str, Any]]:
    """``_catalogue``: every method, and for one that this model cannot have, why."""
    entries = []
    for method in methods:
        reason = method.refuses(vit)
        entries.append(
            {
                "name": method.name,
                "title": method.title,
                "summary": method.summary,
                "shows": method.shows,
                "formula": method.formula,
                "paper": method.paper,
                "cost": method.cost,
                "signed": method.signed,
                "class_discriminative": method.class_discriminative,
                "readouts": list(method.readouts),
                "slow": method.slow,
                "merge": method.merge,
                "default": method.default,
                "knobs": [_knob(knob) for knob in method.knobs],
                "available": reason is None,
                "reason": reason or "",
            }
        )
    return entries


def _knob(knob: Any) -> dict[str, Any]:
    entry = {
        "name": knob.name,
        "kind": knob.kind,
        "default": knob.default,
        "help": knob.help,
        "optional": knob.optional,
        "low": number(knob.low),
        "high": number(knob.high),
        "integer": knob.integer,
    }
    return entry | ({"choices": list(knob.choices)} if knob.choices else {})


def model_info(model: Model, suggestions: Sequence[str]) -> dict[str, Any]:
    """``_model``: what the browser needs to know about the model."""
    vit = model.vit
    return {
        "name": model.name,
        "kind": model.kind,
        "layers": len(vit.blocks),
        "heads": int(vit.heads),
        "grid": [int(side) for side in vit.grid],
        "patch": [int(side) for side in vit.patch],
        "prompts": bool(model.takes_text),
        "classes": None if model.class_names is None else list(model.class_names),
        "builtin": model.name == "builtin",
        "suggestions": [str(word) for word in suggestions],
        "scale": "cosine" if model.kind == "clip" else "logit",
    } | reliability(model.layer_reliability)


def reliability(known: LayerReliability | None) -> dict[str, Any]:
    """Which layers beat chance by the raw lens, a sentence for each by either lens, and what layers count with by their
    reliability. None for a model that was not calibrated."""
    if known is None:
        return dict.fromkeys(("reliable", "reliability", "fitted", "layer_weights"))
    layers = range(1, len(known.reliable) + 1)
    return {
        "reliable": [bool(flag) for flag in known.reliable],
        "reliability": [known.why(layer) for layer in layers],
        "fitted": known.fitted and [known.fitted.why(layer) for layer in layers],
        "layer_weights": list(known.weights),
    }
