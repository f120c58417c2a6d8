"""Which layers of the built-in model beat chance, and its fitted lens, by one command, through the public API::

    python -m legrad_widget.evaluate.builtin_layers --record

Scenes of one object from a picture source that training never saw, the nouns in turn; each is asked with the prompt "a
photo of a NOUN", ranked with the same prompt of all other nouns at every layer. See :mod:`legrad_widget.reliability`
for the test. The halves that the fitted lens is fitted and measured on share no noun: there are few drawings of each,
and a lens that has met a drawing would be measured on what it knows. The result lies beside the weights, belongs to
them alone, and is loaded with the model.
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
from ..builtin.loading import FOLDER, LAYERS, TRANSLATORS, weights_hash
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
    with tqdm(total=2 * len(shown), leave=False, disable=None) as bar:

        def tick(_step: int, _total: int) -> None:
            bar.update()

        images, prompts = [image for image, _ in shown], [prompt for _, prompt in shown]
        return model.calibrate_layers(images, prompts, groups=prompts, progress=tick)


def table(found: LayerReliability) -> str:
    """Return the layers as a Markdown table: the raw lens, and the fitted one on the half that it was not fitted on."""
    lenses = {"raw": found} | ({"fitted": found.fitted} if found.fitted else {})
    lines = [
        f"{found.images} scenes, each prompt ranked with {found.among}; middle rank {found.chance_rank:g}:",
        "",
        "| layer | lens | median rank | AUC | ahead of the middle | p (sign test) | better than chance |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for index in range(len(found.median_rank)):
        for name, lens in lenses.items():
            won = f"{lens.ahead[index]} of {lens.counted[index]}"
            lines.append(
                f"| {index + 1} | {name} | {lens.median_rank[index]:g} | {lens.auc[index]:.3f} | {won} | "
                f"{_probability(lens.p_values[index])} | {'yes' if lens.reliable[index] else 'no'} |"
            )
    return "\n".join(lines) + "\n"


def _probability(p: float) -> str:
    return f"{p:.2g}" if p > 1e-300 else "< 1e-300"


def record(model: lw.Model, source: str, folder: Path = FOLDER) -> Path:
    """Write what the model was calibrated with beside the weights that it belongs to."""
    if model.layer_reliability is None or model.translators is None:
        raise ValueError("nothing to record: give calibrated() fifty scenes or more")
    path = folder / LAYERS
    model.translators.save(folder / TRANSLATORS)
    model.layer_reliability.save(path, sha256=weights_hash(), source=source)
    return path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=tuple(SEEDS), default="validation")
    parser.add_argument("--scenes", type=int, default=1644, help="12 of every noun")
    parser.add_argument("--record", action="store_true", help="keep the result beside the weights")
    arguments = parser.parse_args()
    began = time.perf_counter()
    model = lw.load("builtin")
    found = calibrated(model, arguments.source, arguments.scenes)
    if arguments.record:
        record(model, arguments.source)
    sys.stdout.write(f"{table(found)}\n{time.perf_counter() - began:.0f} s\n")


if __name__ == "__main__":
    main()
