"""Whether it helps to weigh layers otherwise than the papers do, by one command, through the public API::

    python -m legrad_widget.evaluate.weightings --record

The league's scenes, prompts and metrics; every method that averages several layers, under each of the three weightings
of ``x.merged(weights=...)``. How reliable a layer is was measured on other scenes, of another picture source.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import legrad_widget as lw

from ..builtin.held_out import crowded_scenes
from ..builtin.loading import FOLDER
from ..explanation import WEIGHTS
from ..method import Method
from .builtin_card import PIXELS, PROMPT, SEEDS, Queries, queries, sheets_of
from .league import COLUMNS, figures_of, weights_mark

RECORD = FOLDER / "weightings.json"


def weighed(model: lw.Model, asked: Queries) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the figures of every weighting, method by method."""
    for method in lw.list_methods():
        if averages(model, asked, method):
            yield method.name, {"title": method.title} | localise(model, asked, method.name)


def averages(model: lw.Model, asked: Queries, method: Method) -> bool:
    """Whether a method has a map of several layers that are averaged."""
    if method.merge != "mean" or method.default != "all" or method.refuses(model.vit) is not None:
        return False
    x = model.encode(asked.images[0]).explain(PROMPT.format(asked.nouns[0][0]), method=method.name)
    return len(x.layers) > 1


def localise(model: lw.Model, asked: Queries, method: str) -> dict[str, dict[str, Any]]:
    """Return how well a method with its default knobs finds each object under every weighting."""
    heat: dict[str, list[NDArray[Any]]] = {weights: [] for weights in WEIGHTS}
    signed = False
    for image, nouns in zip(tqdm(asked.images, method, leave=False, disable=None), asked.nouns, strict=True):
        for explanation in model.encode(image).explain([PROMPT.format(noun) for noun in nouns], method=method):
            signed = explanation.signed
            for weights in WEIGHTS:
                heat[weights].append(explanation.heatmap("image", weights=weights))
    return {weights: figures_of(np.stack(maps), asked.masks, signed=signed) for weights, maps in heat.items()}


def table(figures: Mapping[str, Any]) -> str:
    """Return the figures as a Markdown table; the best weighting of each method and metric in bold."""
    lines = [
        f"{figures['scenes']} scenes, {figures['prompts']} prompts, weights `{figures['weights']}`, "
        "`python -m legrad_widget.evaluate.weightings --record`:",
        "",
        "| method | layers count | " + " | ".join(COLUMNS.values()) + " |",
        "| --- " * (len(COLUMNS) + 2) + "|",
    ]
    for found in figures["methods"].values():
        best = {column: max(found[weights][column] for weights in WEIGHTS) for column in COLUMNS}
        for weights in WEIGHTS:
            numbers = (
                f"**{value:.3f}**" if (value := found[weights][column]) == best[column] else f"{value:.3f}"
                for column in COLUMNS
            )
            lines.append(f"| {found['title']} | {weights} | {' | '.join(numbers)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=tuple(SEEDS), default="test")
    parser.add_argument("--scenes", type=int, default=320)
    parser.add_argument("--record", action="store_true", help="keep the figures beside the weights")
    arguments = parser.parse_args()
    began = time.perf_counter()
    seed = 2000 + SEEDS[arguments.source]  # the league's scenes
    asked = queries(crowded_scenes(sheets_of(arguments.source), PIXELS, arguments.scenes, seed=seed))
    figures: dict[str, Any] = {"source": arguments.source, "scenes": len(asked.images), "prompts": len(asked.masks)}
    figures |= {"weights": weights_mark(), "methods": {}}
    for name, found in weighed(lw.load("builtin"), asked):
        figures["methods"][name] = found
        if arguments.record:
            RECORD.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{table(figures)}\n{time.perf_counter() - began:.0f} s\n")


if __name__ == "__main__":
    main()
