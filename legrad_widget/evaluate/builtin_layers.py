"""Which layers of the built-in model beat chance, by one command, through the public API::

    python -m legrad_widget.evaluate.builtin_layers --record

Scenes of one object from a picture source that training never saw, the nouns in turn; each is asked with the prompt "a
photo of a NOUN", ranked with the same prompt of all other nouns at every layer. See :mod:`legrad_widget.reliability`
for the test. The result lies beside the weights, belongs to them alone, and is loaded with the model.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from PIL import Image
from tqdm import tqdm

import legrad_widget as lw

from ..builtin.held_out import single_scenes
from ..builtin.loading import FOLDER, LAYERS, weights_hash
from ..builtin.nouns import NOUNS
from ..reliability import LayerReliability
from .builtin_card import PIXELS, PROMPT, SEEDS, sheets_of


def calibrated(model: lw.Model, source: str, scenes: int) -> LayerReliability:
    """Return the reliability of the model's layers on single-object scenes of a source."""
    batch = single_scenes(sheets_of(source), PIXELS, scenes, seed=3000 + SEEDS[source])  # other scenes than the card's
    shown = [
        (Image.fromarray(image), PROMPT.format(NOUNS[present[0]]))
        for image, present in zip(batch.images, batch.present, strict=True)
        if present
    ]
    with tqdm(total=len(shown), leave=False, disable=None) as bar:

        def tick(_step: int, _total: int) -> None:
            bar.update()

        images, prompts = [image for image, _ in shown], [prompt for _, prompt in shown]
        return model.calibrate_layers(images, prompts, progress=tick)


def table(found: LayerReliability) -> str:
    """Return the layers as a Markdown table."""
    lines = [
        f"{found.images} scenes, each prompt ranked with {found.among}; middle rank {found.chance_rank:g}:",
        "",
        "| layer | median rank | ahead of the middle | p (sign test) | better than chance |",
        "| --- | --- | --- | --- | --- |",
    ]
    for index, rank in enumerate(found.median_rank):
        won = f"{found.ahead[index]} of {found.counted[index]}"
        lines.append(
            f"| {index + 1} | {rank:g} | {won} | {found.p_values[index]:.2g} | "
            f"{'yes' if found.reliable[index] else 'no'} |"
        )
    return "\n".join(lines) + "\n"


def record(found: LayerReliability, source: str, folder: Path = FOLDER) -> Path:
    """Write the result beside the weights that it belongs to."""
    path = folder / LAYERS
    found.save(path, sha256=weights_hash(), source=source)
    return path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=tuple(SEEDS), default="validation")
    parser.add_argument("--scenes", type=int, default=274)
    parser.add_argument("--record", action="store_true", help="keep the result beside the weights")
    arguments = parser.parse_args()
    began = time.perf_counter()
    found = calibrated(lw.load("builtin"), arguments.source, arguments.scenes)
    if arguments.record:
        record(found, arguments.source)
    sys.stdout.write(f"{table(found)}\n{time.perf_counter() - began:.0f} s\n")


if __name__ == "__main__":
    main()
