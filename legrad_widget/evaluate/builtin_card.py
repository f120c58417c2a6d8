"""The figures of the built-in model's card, by one command, through the public API::

    python -m legrad_widget.evaluate.builtin_card --source validation --calibrate --record
    python -m legrad_widget.evaluate.builtin_card --source test --record

Recognition: one object per scene, every sprite of the source in turn, top-1 over all nouns.
Localisation: scenes with two to four objects (only those test the prompt), one prompt per visible object; maps are
upsampled to the scene, min-max scaled and thresholded at 0.5; see `segmentation` for the metrics.
Support: the probability below which a prompt counts as not supported by the image, over prompts for present and for
absent nouns, half of them bare nouns and half in the templates of training.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import legrad_widget as lw

from ..builtin.batches import Batch
from ..builtin.held_out import crowded_scenes, single_scenes
from ..builtin.loading import FOLDER, MANIFEST, manifest
from ..builtin.nouns import NOUNS, TEMPLATES
from ..builtin.sprites import sheet_names
from .segmentation import Localisation, localisation, min_max

PIXELS = 64
PROMPT = "a photo of a {}"
METHODS = ("legrad", "raw_attention", "rollout")
SEEDS = {"train": 100, "validation": 101, "test": 102}
ABSENT = 6  # prompts for absent nouns in each scene


@dataclass(frozen=True)
class Queries:
    """Scenes with the prompts asked of them."""

    images: tuple[Image.Image, ...]
    nouns: tuple[tuple[str, ...], ...]  # per image
    masks: NDArray[np.bool_]  # [N, H, W], in the order of images and their nouns


def sheets_of(source: str) -> tuple[str, ...]:
    """Return the sprite sheets of a source; of the training sources only Noto, which draws the shipped scenes."""
    return ("noto",) if source == "train" else sheet_names(source)


def queries(batch: Batch) -> Queries:
    """Return one query per visible object."""
    masks = [batch.labels[i] == noun + 1 for i, present in enumerate(batch.present) for noun in present]
    nouns = tuple(tuple(NOUNS[noun] for noun in present) for present in batch.present)
    return Queries(tuple(Image.fromarray(image) for image in batch.images), nouns, np.stack(masks))


def top1(model: lw.Model, batch: Batch) -> float:
    """Return how often the most likely of all nouns is the one that is shown."""
    said = _directions(model, [PROMPT.format(noun) for noun in NOUNS])
    right = [
        int((said @ model.encode(Image.fromarray(image)).features).argmax()) == present[0]
        for image, present in zip(batch.images, batch.present, strict=True)
        if present
    ]
    return float(np.mean(right))


def _directions(model: lw.Model, prompts: Sequence[str]) -> torch.Tensor:
    """Return the unit vectors of prompts `[P, E]`."""
    if model.text is None:
        raise TypeError(f"the card needs a model that takes prompts; {model.name} has no text tower")
    return model.text(list(prompts))


def localise(model: lw.Model, asked: Queries, method: str) -> dict[str, Localisation]:
    """Return how well a method finds each object, merged as the method does by default and per layer."""
    maps: dict[str, list[NDArray[Any]]] = {}
    for image, nouns in zip(asked.images, asked.nouns, strict=True):
        prompts = [PROMPT.format(noun) for noun in nouns]
        for explanation in model.encode(image).explain(prompts, method=method):
            maps.setdefault("merged", []).append(explanation.heatmap("image"))
            for layer in explanation.layers if len(explanation.layers) > 1 else ():
                maps.setdefault(f"layer {layer}", []).append(explanation.heatmap("image", layer))
    return {name: localisation(min_max(np.stack(values)), asked.masks) for name, values in maps.items()}


def chance(asked: Queries, seed: int = 0) -> Localisation:
    """Return what maps of random patches reach."""
    rng = np.random.default_rng(seed)
    grid, height = 8, asked.masks.shape[1]
    noise = rng.random((len(asked.masks), grid, grid)).astype(np.float32)
    large = [Image.fromarray(one).resize((height, height), Image.Resampling.BILINEAR) for one in noise]
    return localisation(min_max(np.stack([np.asarray(one) for one in large])), asked.masks)


def support_probabilities(model: lw.Model, batch: Batch, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the probabilities of prompts for present and for absent nouns of each scene."""
    rng = np.random.default_rng(seed)
    shown, absent = [], []
    scale, bias = model.logit_form()
    for image, present in zip(batch.images, batch.present, strict=True):
        missing = [int(noun) for noun in rng.permutation(len(NOUNS)) if noun not in present][:ABSENT]
        prompts = [_phrased(rng, NOUNS[noun]) for noun in (*present, *missing)]
        features = torch.nn.functional.normalize(model.encode(Image.fromarray(image)).features, dim=0)
        odds = torch.sigmoid(scale * (_directions(model, prompts) @ features) + bias).numpy()
        shown.append(odds[: len(present)])
        absent.append(odds[len(present) :])
    return np.concatenate(shown), np.concatenate(absent)


def _phrased(rng: np.random.Generator, noun: str) -> str:
    return noun if rng.random() < 0.5 else TEMPLATES[int(rng.integers(len(TEMPLATES)))].format(noun)


def calibrate(shown: NDArray[Any], absent: NDArray[Any]) -> float:
    """Return the threshold with the smallest sum of the two error rates (half way between neighbouring values)."""
    values = np.unique(np.concatenate([shown, absent]).astype(np.float64))
    candidates = np.sqrt(values[1:] * values[:-1])  # probabilities are small, so half way on a logarithmic scale
    errors = np.searchsorted(np.sort(shown), candidates) / len(shown)
    errors = errors + 1 - np.searchsorted(np.sort(absent), candidates) / len(absent)
    return float(candidates[errors.argmin()])


def support_errors(threshold: float, shown: NDArray[Any], absent: NDArray[Any]) -> dict[str, float]:
    """Return the share of present prompts that would fade and of absent ones that would not."""
    return {"false_fade": float((shown < threshold).mean()), "false_show": float((absent >= threshold).mean())}


def card(source: str, *, singles: int, scenes: int, threshold: float | None = None) -> dict[str, Any]:
    """Return every figure of the card for the shipped model on scenes of one source.

    Args:
        source: "train", "validation" or "test".
        singles, scenes: numbers of one-object and of two-to-four-object scenes.
        threshold: of the support probability; None calibrates it on these scenes.
    """
    model = lw.load("builtin")
    sheets, seed = sheets_of(source), SEEDS[source]
    crowded = crowded_scenes(sheets, PIXELS, scenes, seed=1000 + seed)
    asked = queries(crowded)
    shown, absent = support_probabilities(model, crowded)
    used = calibrate(shown, absent) if threshold is None else threshold
    errors = {name: round(value, 4) for name, value in support_errors(used, shown, absent).items()}
    maps = {method: localise(model, asked, method) for method in METHODS}
    return {
        "source": source,
        "sheets": list(sheets),
        "singles": singles,
        "scenes": scenes,
        "prompts": len(asked.masks),
        "object_share": round(float(asked.masks.mean()), 4),
        "top1": round(top1(model, single_scenes(sheets, PIXELS, singles, seed=seed)), 4),
        "localisation": {
            **{name: {layer: found.rounded(4) for layer, found in of.items()} for name, of in maps.items()},
            "random": {"merged": chance(asked).rounded(4)},
        },
        "support": {"probability": used, **errors, "scenes": scenes, "source": source},
    }


def record(figures: dict[str, Any], folder: Path = FOLDER) -> None:
    """Write the figures into the manifest and beside it as a page.

    The manifest's support threshold comes from the validation source, its error rates from the latest source recorded.
    """
    held = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    source = figures["source"]
    held["support"] = figures["support"]
    held.setdefault("metrics", {})[source] = {name: value for name, value in figures.items() if name != "support"}
    (folder / MANIFEST).write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    (folder / f"card-{source}.md").write_text(markdown(figures), encoding="utf-8")


def markdown(figures: dict[str, Any]) -> str:
    """Return the figures as the two tables of a model card."""
    return "\n".join(_lines(figures)) + "\n"


def _lines(figures: dict[str, Any]) -> Iterator[str]:
    support, columns = figures["support"], ("miou", "foreground_iou", "pixel_accuracy", "pointing", "average_precision")
    yield f"Source: {', '.join(figures['sheets'])} ({figures['source']})."
    yield f"Top-1 over {len(NOUNS)} nouns on {figures['singles']} single-object scenes: **{figures['top1']:.3f}**."
    yield ""
    yield f"{figures['scenes']} scenes with 2-4 objects, {figures['prompts']} prompts:"
    yield ""
    yield "| maps | mIoU at 0.5 | object IoU | pixel accuracy | pointing game | pixel AP | mIoU over the data set |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for method, of in figures["localisation"].items():
        for layer, found in of.items():
            name = method if layer == "merged" else f"{method}, {layer}"
            numbers = " | ".join(f"{found[column]:.3f}" for column in (*columns, "miou_dataset"))
            yield f"| {name} | {numbers} |"
    yield ""
    yield (
        f"A prompt counts as supported from probability {support['probability']:.4f}: {support['false_fade']:.1%} "
        f"of the prompts for present things fade, {support['false_show']:.1%} of those for absent things do not."
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=tuple(SEEDS), default="validation")
    parser.add_argument("--singles", type=int, default=548)
    parser.add_argument("--scenes", type=int, default=256)
    parser.add_argument("--calibrate", action="store_true", help="calibrate the support threshold on these scenes")
    parser.add_argument(
        "--record", action="store_true", help="keep the figures in the manifest and as a page beside it"
    )
    arguments = parser.parse_args()
    began = time.perf_counter()
    threshold = None if arguments.calibrate else manifest().get("support", {}).get("probability")
    figures = card(arguments.source, singles=arguments.singles, scenes=arguments.scenes, threshold=threshold)
    if arguments.record:
        record(figures)
    sys.stdout.write(f"{markdown(figures)}\n{time.perf_counter() - began:.0f} s\n")


if __name__ == "__main__":
    main()
