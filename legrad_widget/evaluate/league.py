"""Every method of the catalogue on the built-in world's held-out scenes, by one command, through the public API::

    python -m legrad_widget.evaluate.league --record --page README.md    # stop it any time; again goes on

Scenes with two to four objects of a picture source that training never saw, one prompt per visible object, every method
with its default knobs and its default layers. Maps are upsampled to the scene, min-max scaled and thresholded at 0.5
(`segmentation` defines the metrics).

A signed map says where evidence against the prompt lies, too. Only what speaks for it can be compared with a mask, so
its negative part is set to zero first, as the reference code of TextSpan does; the ranking metrics (pixel AP, pointing
game) read the map as it is.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import legrad_widget as lw

from ..builtin.held_out import crowded_scenes
from ..builtin.loading import FOLDER, WEIGHTS
from .builtin_card import PIXELS, PROMPT, SEEDS, Queries, chance, queries, sheets_of
from .segmentation import Localisation, localisation, min_max

RECORD = FOLDER / "league.json"
BEGIN, END = "<!-- league:begin -->", "<!-- league:end -->"
COLUMNS = {
    "miou": "mIoU at 0.5",
    "foreground_iou": "object IoU",
    "pixel_accuracy": "pixel accuracy",
    "pointing": "pointing game",
    "average_precision": "pixel AP",
}


def localise(model: lw.Model, asked: Queries, method: str) -> dict[str, Any]:
    """Return how well a method with its default knobs finds each object, and the median seconds of one map."""
    heat, seconds, signed = [], [], False
    for image, nouns in zip(tqdm(asked.images, method, leave=False, disable=None), asked.nouns, strict=True):
        for explanation in model.encode(image).explain([PROMPT.format(noun) for noun in nouns], method=method):
            heat.append(explanation.heatmap("image"))
            seconds.append(explanation.seconds)
            signed = explanation.signed
    found = figures_of(np.stack(heat), asked.masks, signed=signed)
    return found | {"signed": signed, "seconds": round(float(np.median(seconds)), 4)}


def figures_of(maps: NDArray[Any], masks: NDArray[np.bool_], *, signed: bool) -> dict[str, Any]:
    """Return the league's figures of maps [N, H, W] against masks [N, H, W]."""
    claimed = min_max(maps.clip(0) if signed else maps)
    return localisation(claimed, masks).rounded(4) | _ranking(localisation(min_max(maps), masks))


def _ranking(found: Localisation) -> dict[str, Any]:
    rounded = found.rounded(4)
    return {name: rounded[name] for name in ("pointing", "average_precision")}


def league(model: lw.Model, asked: Queries, done: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the figures of every method that is not in ``done``; a method that is not defined says why."""
    for method in lw.list_methods():
        if method.name in done:
            continue
        reason = method.refuses(model.vit)
        found = {"reason": reason} if reason else localise(model, asked, method.name)
        yield method.name, {"title": method.title} | found


def weights_mark() -> str:
    """Return a short digest of the shipped weights: figures of other weights are never mixed with these."""
    return hashlib.sha256((FOLDER / WEIGHTS).read_bytes()).hexdigest()[:16]


def table(figures: Mapping[str, Any]) -> str:
    """Return the league as a Markdown table, best mIoU first, chance last."""
    rows = {name: found for name, found in figures["methods"].items() if "miou" in found}
    best = sorted(rows, key=lambda name: (name != "random", rows[name]["miou"]), reverse=True)
    best.sort(key=lambda name: name == "random")
    lines = [
        f"{figures['scenes']} scenes, {figures['prompts']} prompts, weights `{figures['weights']}`, {figures['date']}, "
        "`python -m legrad_widget.evaluate.league --record`:",
        "",
        "| method | " + " | ".join(COLUMNS.values()) + " | seconds a map |",
        "| --- " * (len(COLUMNS) + 2) + "|",
    ]
    for name in best:
        found = rows[name]
        numbers = " | ".join(f"{found[column]:.3f}" for column in COLUMNS)
        seconds = f"{found['seconds']:.3f}" if "seconds" in found else ""
        lines.append(f"| {found['title']}{' ±' if found.get('signed') else ''} | {numbers} | {seconds} |")
    lines += [f"\n{found['title']}: {found['reason']}" for found in figures["methods"].values() if "reason" in found]
    return "\n".join(lines) + "\n"


def put(text: str, page: Path) -> None:
    """Replace what stands between the two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=tuple(SEEDS), default="test")
    parser.add_argument("--scenes", type=int, default=320)
    parser.add_argument("--record", action="store_true", help="keep the figures beside the weights, method by method")
    parser.add_argument("--again", nargs="*", default=[], metavar="METHOD", help="measure these methods anew")
    parser.add_argument("--page", type=Path, help="a Markdown page whose marked part is replaced by the table")
    arguments = parser.parse_args()
    seed = 2000 + SEEDS[arguments.source]  # other scenes than the model card's
    asked = queries(crowded_scenes(sheets_of(arguments.source), PIXELS, arguments.scenes, seed=seed))
    question = {"source": arguments.source, "scenes": len(asked.images), "prompts": len(asked.masks)}
    question["weights"] = weights_mark()
    figures: dict[str, Any] = question | {"methods": {"random": {"title": "Random patches"} | chance(asked).rounded(4)}}
    if RECORD.exists() and (held := json.loads(RECORD.read_text(encoding="utf-8"))).items() >= question.items():
        figures["methods"] |= {name: found for name, found in held["methods"].items() if name not in arguments.again}
    began = time.perf_counter()
    model = lw.load("builtin")
    for name, found in league(model, asked, figures["methods"]):
        figures["methods"][name] = found
        figures["date"] = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        if arguments.record:
            RECORD.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    figures.setdefault("date", datetime.datetime.now(tz=datetime.UTC).date().isoformat())
    if arguments.page is not None:
        put(table(figures), arguments.page)
    sys.stdout.write(f"{table(figures)}\n{time.perf_counter() - began:.0f} s\n")


if __name__ == "__main__":
    main()
