"""What can be asked about a target of an answer: its heads, one patch, one layer, the picture changed. No Jupyter.

A tool is a generator: it gives what is known so far, under the name it is shown by, as often as there is more. Between
two of these others may use the model.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from PIL import Image

from ..evaluate import randomisation
from ..evaluate.cost import measured
from ..evaluate.perturbation import Mode
from ..explainer import specificity_of
from ..heads import HeadEffects, verifying
from ..intervention import How, Moved
from ..target import Text
from . import tool_rules as rule
from .chips import HeldChip
from .curve_tools import PLANS, curves, faithfulness
from .rules import Refused, shown
from .subject import Data, Found, Subject
from .tool_rules import Arg, Ground, read_args
from .wire import label_of, number, numbers, pack

if TYPE_CHECKING:
    from .question import Question

__all__ = ["PLANS", "TOOLS", "Data", "Found", "Subject", "Tool", "args_of", "find_tool"]


def effects(about: Subject, _args: Data) -> Iterator[Found]:
    """How much every head adds to the score, to first order, and where."""
    yield _effects(about.encoding.head_effects(about.target, progress=about.progress))


def ablate(about: Subject, args: Data) -> Iterator[Found]:
    """The score when some heads are really taken away."""
    found = about.encoding.ablate([(layer, head) for layer, head in args["cells"]], about.target)
    yield (
        "ablate",
        {
            "cells": args["cells"],
            "before": number(found.before),
            "after": number(found.after),
            "change": number(found.change),
            "score_name": found.score_name,
        },
    )


def row(about: Subject, args: Data) -> Iterator[Found]:
    """What one patch attends to."""
    found = about.encoding.attention(args["layer"], args["head"], tuple(args["patch"]))
    yield "row", {"map": pack(found.patches), "prefix": numbers(found.prefix)}


def lens(about: Subject, args: Data) -> Iterator[Found]:
    """What a layer, or one patch of it, would say if the model ended there."""
    patch = None if args["patch"] is None else tuple(args["patch"])
    encoding = about.encoding
    found = encoding.lens(args["layer"], patch)
    yield (
        "lens",
        {
            "predictions": [
                {"index": int(one.index), "name": str(one.name), "probability": number(one.probability)}
                for one in found
            ],
            "of": encoding.predictions_of or "everyday prompts",
        },
    )


def norms(about: Subject, args: Data) -> Iterator[Found]:
    """How long the tokens are that leave a layer, and which stand out."""
    found = about.encoding.token_norms(args["layer"])
    yield (
        "norms",
        {
            "map": pack(found.patches),
            "outliers": [[int(row), int(column)] for row, column in zip(*found.outliers.nonzero(), strict=True)],
            "threshold": number(found.threshold),
            "prefix": numbers(found.prefix),
        },
    )


def brush(about: Subject, args: Data) -> Iterator[Found]:
    """What the model says of the picture without some patches: of every target that can be asked, and its classes; of
    a sample, where that is asked, also the scores of its two classes over the layers."""
    question, outcomes = about.answer.question, about.answer.outcomes
    asked = [place for place, outcome in enumerate(outcomes) if outcome.explanation is not None]
    found = question.photo.without(
        about.encoding,
        [tuple(patch) for patch in args["patches"]],
        args["how"],
        targets=[question.things[place] for place in asked],
        control=args["control"],
        progress=about.progress,
        **{name: args[name] for name in ("from_layer", "donor") if args[name] is not None},
    )
    moved = dict(zip(asked, map(_moved, found.targets), strict=True))
    yield (
        "brush",
        {
            "targets": [
                moved.get(place, _UNASKED) | {"label": label_of(chip)} for place, chip in enumerate(question.chips)
            ],
            "classes": [_moved(one) for one in found.classes],
            "picture": _png(found.picture),
            "donor": question.photo.donor(found),
            "curve": question.photo.curve(about.encoding, found) if args["curve"] else None,
        },
    )


def verify(about: Subject, args: Data) -> Iterator[Found]:
    """The heads of largest estimated effect, each ablated: estimate beside measurement; the estimates on the way."""
    top = args["top"]
    estimated = about.encoding.head_effects(about.target, progress=lambda *_: about.progress(0, top))
    yield _effects(estimated)
    found: list[Data] = []
    for one in verifying(about.encoding, about.target, estimated, top, progress=about.progress):
        found = [
            *found,
            {
                "layer": one.layer,
                "head": one.head,
                "estimate": number(one.estimate),
                "measured": number(one.measured),
            },
        ]
        yield "verify", {"found": found}


def randomise(about: Subject, _args: Data) -> Iterator[Found]:
    """How the map changes while the model forgets, block by block from the last one; block 0: it has not yet."""
    question = about.answer.question
    depth = len(about.encoding.model.vit.blocks)
    for found in randomisation.growing(
        about.encoding, about.target, question.method.name, blocks=tuple(range(depth + 1)), progress=about.progress,
        **dict(question.knobs),
    ):  # fmt: skip
        whole = len(found.blocks) == depth + 1
        data = {
            "method": found.method,
            "blocks": list(found.blocks),
            "correlations": numbers(found.correlations),
            "passed": found.passed if whole else None,
        }
        if whole:
            about.memory.verdicts[_settings(question)] = {
                "passed": found.passed,
                "correlation": number(found.correlations[-1]),
                "label": found.label,
            }
        yield "randomise", data


def card(about: Subject, _args: Data) -> Iterator[Found]:
    """What the card of the method that is shown says of this model: the cost of the map, and the last check."""
    question = about.answer.question
    found = measured(about.map(), about.encoding)
    yield (
        "card",
        {
            "method": question.method.name,
            "seconds": number(found.seconds),
            "forward": number(found.forward_seconds),
            "verdict": about.memory.verdicts.get(_settings(question)),
        },
    )


def _settings(question: Question) -> tuple[str, tuple[Any, ...]]:
    return question.method.name, tuple(sorted(question.knobs))


def specificity(about: Subject, args: Data) -> Iterator[Found]:
    """How much the map on the screen differs from the same method's map of a control prompt, which comes with it.

    The number is ``Encoding.specificity`` of the map that is shown. Where a method compares the targets that are asked
    together, that one is compared with the others, and the control stands alone.
    """
    question = about.answer.question
    ours = about.map()
    prompt = Text(args["control"], control=True)
    about.encoding.model.target(prompt)  # refuses it where prompts cannot be asked
    control = about.remembered(replace(question, chips=(_control_chip(prompt),), things=(prompt,), suggest=False))
    value = specificity_of(ours, control)
    yield (
        "specificity",
        {
            "value": number(value),
            "control": control.label,
            "note": _FLAT if math.isnan(value) else control.note,
            "layers": list(control.layers),
            "signed": control.signed,
            "maps": pack(control.maps),
        },
    )


_FLAT = "One of the two maps is flat, so there is nothing to compare."


def _control_chip(prompt: Text) -> HeldChip:
    """A name to remember a control by: no chip in the page has it."""
    return HeldChip(f"control {prompt.text}", prompt.label)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool and the arguments that it takes; ``grows``: it finds more than once under its own name."""

    run: Callable[[Subject, Data], Iterator[Found]]
    args: Mapping[str, Arg]
    grows: bool = False


TOOLS: Mapping[str, Tool] = {
    "effects": Tool(effects, {}),
    "ablate": Tool(ablate, {"cells": Arg(rule.cells)}),
    "row": Tool(row, {"layer": Arg(rule.layer), "head": Arg(rule.head, None), "patch": Arg(rule.patch)}),
    "lens": Tool(lens, {"layer": Arg(rule.layer), "patch": Arg(rule.patch_or_none, None)}),
    "norms": Tool(norms, {"layer": Arg(rule.layer)}),
    "brush": Tool(
        brush,
        {
            "patches": Arg(rule.patches),
            "how": Arg(rule.one_of("how", (*get_args(How), "paste")), "drop"),
            "from_layer": Arg(rule.layer_or_none, None),
            "donor": Arg(rule.sample_or_none, None),
            "curve": Arg(rule.flag("curve"), False),
            "control": Arg(rule.whole("control", 0, rule.MAX_CONTROL), 0),
        },
    ),
    "verify": Tool(verify, {"top": Arg(rule.whole("top", 1, rule.MAX_VERIFIED), 10)}, grows=True),
    "curves": Tool(
        curves,
        {
            "mode": Arg(rule.one_of("mode", get_args(Mode)), "pixels"),
            "kinds": Arg(rule.kinds),
            "random": Arg(rule.orders, 0),
            "method": Arg(rule.method_or_none, None),
        },
        grows=True,
    ),
    "faithfulness": Tool(
        faithfulness,
        {
            "methods": Arg(rule.methods),
            "kinds": Arg(rule.kinds),
            "mode": Arg(rule.one_of("mode", get_args(Mode)), "pixels"),
            "random": Arg(rule.orders, 0),
        },
        grows=True,
    ),
    "randomise": Tool(randomise, {}, grows=True),
    "card": Tool(card, {}),
    "specificity": Tool(specificity, {"control": Arg(rule.control, "")}),
}


def find_tool(name: Any) -> Tool:
    """The tool called ``name``.

    Raises:
        Refused: there is none.
    """
    if not isinstance(name, str) or name not in TOOLS:
        raise Refused(f"no tool is called {shown(name)}; the tools are {', '.join(TOOLS)}, stop")
    return TOOLS[name]


def args_of(name: str, raw: Any, ground: Ground) -> Data:
    """The arguments of the tool called ``name``, checked."""
    return read_args(name, raw, find_tool(name).args, ground)


_UNASKED: Data = {"before": None, "after": None, "of": "", "low": None, "high": None}


def _effects(found: HeadEffects) -> Found:
    return "effects", {
        "values": pack(found.values),
        "maps": pack(found.maps),
        "score": number(found.score),
        "score_name": found.score_name,
    }


def _moved(one: Moved) -> Data:
    """Before and after: the probability, or the score where there is none, and what random patches do to it."""
    low, high = one.interval or (None, None)
    chance = one.before is not None
    return {
        "label": one.label,
        "before": number(one.before if chance else one.score_before),
        "after": number(one.after if chance else one.score_after),
        "of": one.probability_of if chance else one.score_name,
        "low": number(low),
        "high": number(high),
    }


def _png(picture: Image.Image) -> Data:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG")
    return {"mime": "image/png", "data": buffer.getvalue()}
