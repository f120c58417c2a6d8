"""Which map finds the cause of an error, where the cause is known because it was planted; by one command::

    python -m legrad_widget.inspection.shortcut_story --record

The classifier `lw.load("shortcuts")` is inspected on scenes of `lw.builtin.shortcut_world`. Every error is put down to
the sticker, to the snow, to a cue that is missing, to a wrong label, or to none of these; then an inspection is asked
what it would have told somebody who did not know. The result lies beside the weights, with their hash.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from tqdm import tqdm

import legrad_widget as lw

from ..builtin.nouns import BACKGROUNDS
from ..builtin.shortcuts.loading import FOLDER, STORY, weights_hash
from ..builtin.shortcuts.world import GROUND, GROUNDED, PATCH, TAGGED, ShortcutWorld, patches_of, shortcut_world
from .evidence import ATTENTION_GRADIENT, Overlay
from .inspection import Inspection

Array = NDArray[Any]

OVERLAYS: dict[str, Overlay] = {
    "LeGrad": Overlay("legrad"),
    "LeGrad, layers equal": Overlay("legrad", "equal"),
    "attention x gradient of the final score": Overlay(ATTENTION_GRADIENT),
    "CDAM": Overlay("cdam"),
    "TAM (exact token ablation)": Overlay("tam"),
    "rollout": Overlay("rollout"),
    "raw attention": Overlay("raw_attention"),
}
SHORTCUTS = ("tag", "ground", "missing")
TOP = 3


def inspected(n: int = 400, seed: int = 0) -> tuple[Inspection, ShortcutWorld]:
    """Return the classifier's answers on a world, and the world."""
    world = shortcut_world(n, seed=seed)
    made = Inspection(
        lw.load("shortcuts"), list(world.images), world.labels.tolist(),
        class_names=world.class_names, masks=list(world.masks), cache=False,
    )  # fmt: skip
    return made.run(progress=False), world


def cause_of(world: ShortcutWorld, index: int, said: str) -> str:
    """Return why an answer differs from the label, by what was planted: label, tag, ground, missing or other."""
    planted = world.truth[index]
    if planted.flipped and said == planted.thing:
        return "label"
    if planted.tag and said == TAGGED:
        return "tag"
    if planted.ground == GROUND and said == GROUNDED:
        return "ground"
    return "missing" if planted.missing else "other"


def causes(inspection: Inspection, world: ShortcutWorld) -> dict[int, str]:
    """Return the cause of every error."""
    said = inspection.errors["predicted"]
    return {index: cause_of(world, index, said[index]) for index in inspection.wrong.tolist()}


def floor_removed(evidence: Array) -> Array:
    """Return what of a map stands above its median and above zero, of mass 1 (0 where nothing does)."""
    above = np.clip(evidence, 0, None)
    above = np.clip(above - np.median(above), 0, None)
    return np.asarray(above / max(float(above.sum()), 1e-12))


def overlay_row(
    inspection: Inspection, world: ShortcutWorld, errors: Iterable[int], overlay: Overlay
) -> dict[str, float]:
    """Return where an overlay points on errors that the sticker made, and what its flip sets are."""
    rows = []
    for index in errors:
        evidence = inspection.contrast(index, overlay)
        ranked, cue = evidence.difference(), patches_of(world.tags[index])
        order = np.argsort(-ranked, axis=None, kind="stable")
        found = inspection.flip_set(index, overlay, control=0)
        rows.append(
            {
                "top patch on the tag": cue.flat[order[0]],
                "tag in the top 3": cue.flat[order[:TOP]].any(),
                "mass on the tag": floor_removed(evidence.merged()[0])[cue].sum(),
                "flip set is the tag": found.found and bool((found.removed <= cue).all()),
                "no flip set": not found.found,
            }
        )
    return {name: mean([row[name] for row in rows]) for name in rows[0]}


def tag_figures(inspection: Inspection, world: ShortcutWorld, errors: Sequence[int]) -> dict[str, Any]:
    """Return the overlays on errors that the sticker made, and what becomes of these scenes without it."""
    random = [inspection.without(index, patches_of(world.tags[index]), control=8) for index in errors]
    changed = [_share_changed(change) for change in random]
    said = answers(inspection, [world.redrawn(index, tag=False) for index in errors])
    rows = {
        name: overlay_row(inspection, world, errors, overlay)
        for name, overlay in tqdm(OVERLAYS.items(), disable=None, leave=False)
    }
    return {
        "errors": len(errors),
        "overlays": rows,
        "answer changes without the tag's patch": mean([first for first, _ in changed]),
        "answer changes without a random patch": mean([second for _, second in changed]),
        "answer changes when drawn without the tag": mean(said != inspection.records["predicted"][errors]),
        "right when drawn without the tag": mean(said == world.things[errors]),
    }


def _share_changed(change: Any) -> tuple[float, float]:
    """Whether the answer of a Change is another than before, and in what share of its random controls it is."""
    classes = change.classes
    first = max(range(len(classes)), key=lambda i: classes[i].before)
    control = np.array([moved.control for moved in classes])
    after = max(range(len(classes)), key=lambda i: classes[i].after)
    return float(after != first), float((control.argmax(0) != first).mean())


def ground_figures(inspection: Inspection, world: ShortcutWorld, errors: Sequence[int]) -> dict[str, Any]:
    """Return what becomes of errors that the snow made when the same scene is drawn on every other background.

    Control: right answers on other backgrounds than snow, of animals other than the wolf, redrawn likewise.
    """
    others = [name for name in BACKGROUNDS if name != GROUND]
    right = np.setdiff1d(inspection.scored, inspection.wrong).tolist()
    control = [index for index in right if not world.truth[index].points_at and world.truth[index].thing != GROUNDED]
    control = control[: len(errors)]
    swapped = np.stack([answers(inspection, _redrawn(world, errors, name)) for name in others], 1)
    kept = np.stack([answers(inspection, _redrawn(world, control, name)) for name in others], 1)
    before = inspection.records["predicted"]
    found = [inspection.flip_set(index, control=8) for index in errors]
    return {
        "errors": len(errors),
        "answer changes on another background": mean(swapped != before[errors][:, None]),
        "right on another background": mean(swapped == world.things[errors][:, None]),
        "control: right answers that change": mean(kept != before[control][:, None]),
        "no set of patches along the evidence flips it": mean([not one.found for one in found]),
        "median patches where one does": _median([one.size for one in found if one.found]),
        "answer changes when the animal's patches alone stay": mean(
            [_without_ground(inspection, world, index) != before[index] for index in errors]
        ),
        "share of the flip set on the background": mean(
            [
                _shares(world.grounds[index])[one.removed].mean()
                for index, one in zip(errors, found, strict=True)
                if one.found
            ]
        ),
        "share of the picture that is background": mean(world.grounds[errors]),
        "random sets of that size flip": mean([one.random_flips for one in found if one.found]),
    }


def _without_ground(inspection: Inspection, world: ShortcutWorld, index: int) -> int:
    """The answer when all patches go of which less than a tenth is animal."""
    change = inspection.without(index, _shares(world.masks[index]) <= 0.1, control=0)
    likeliest = max(change.classes, key=lambda moved: moved.after or 0.0)
    return inspection.class_names.index(likeliest.label)


def _redrawn(world: ShortcutWorld, indices: Iterable[int], ground: str) -> list[Array]:
    return [world.redrawn(index, ground=ground) for index in indices]


def _shares(mask: Array) -> Array:
    """[h, w] the share of each patch under a mask."""
    rows, columns = mask.shape[0] // PATCH, mask.shape[1] // PATCH
    return np.asarray(mask.reshape(rows, PATCH, columns, PATCH).mean((1, 3)))


def answers(inspection: Inspection, images: Iterable[Array]) -> Array:
    """Return the predicted classes `[n]` of other pictures."""
    model = inspection.needs_model("ask about other pictures")
    names = [model.encode(image).predictions(1)[0].name for image in images]
    return np.array([inspection.class_names.index(name) for name in names])


def cluster_figures(inspection: Inspection, cause: dict[int, str], overlay: Overlay | None = None) -> dict[str, Any]:
    """Return how well clusters of all errors separate what made them.

    Purity: the share of the errors whose cause is the most frequent one of their cluster; beside it what one single
    cluster would reach, for causes are not equally frequent. Errors of no planted cause are in the clusters, and count
    in "all causes" alone.
    """
    made = inspection.clusters(overlay=overlay)
    sorts = {index: "shortcut" if why in SHORTCUTS else why for index, why in cause.items()}
    misled = {index: "misled" if why in ("tag", "ground") else why for index, why in cause.items()}
    return {
        "clusters": len(made),
        "silhouette": round(made.silhouette, 4),
        "shortcut against label noise": _purity(made, sorts, ("shortcut", "label")),
        "tag and snow against label noise": _purity(made, misled, ("misled", "label")),
        "tag, snow, label noise": _purity(made, cause, ("tag", "ground", "label")),
        "all causes": _purity(made, cause, (*SHORTCUTS, "label", "other")),
        "cards": [
            {
                "errors": len(card),
                "causes": dict(Counter(cause[index] for index in card.members).most_common()),
                "pairs": [list(pair) for pair in card.pairs[:3]],
                "flips": round(card.flips, 4),
                "random_flips": round(card.random_flips, 4),
            }
            for card in made
        ],
    }


def background_figures(n: int = 400, seed: int = 0) -> str:
    """Return what becomes of answers when the animals stand on other backgrounds, by what made them, in words."""
    inspection, world = inspected(n, seed)
    cause = causes(inspection, world)
    right = np.setdiff1d(inspection.scored, inspection.wrong).tolist()
    groups = {
        "errors that the snow made": [index for index, why in cause.items() if why == "ground"],
        "errors that the sticker made": [
            index for index, why in cause.items() if why == "tag" and not world.truth[index].flipped
        ],
        "right wolves": [index for index in right if world.truth[index].thing == GROUNDED],
        "right, neither wolf nor horse": [
            index for index in right if world.truth[index].thing not in (GROUNDED, TAGGED)
        ],
    }
    return "\n\n".join(f"{name}\n{inspection.on_other_backgrounds(rows)}" for name, rows in groups.items()) + "\n"


def suspect_figures(inspection: Inspection, world: ShortcutWorld) -> dict[str, float]:
    """Return how well the errors whose neighbours contradict their label are those whose label is wrong.

    The area under the ROC curve of ``disagreement`` among all errors, and the share of wrong labels among as many of
    the first suspects as there are such errors; beside it what chance would find.
    """
    errors = inspection.wrong
    flipped = np.array([world.truth[index].flipped for index in errors])
    doubt = inspection.frame["disagreement"].to_numpy(np.float64)[errors]
    order = np.argsort(-doubt, kind="stable")
    return {
        "wrong labels": int(flipped.sum()),
        "area under ROC": round(float(roc_auc_score(flipped, doubt)), 4),
        "precision at as many": mean(flipped[order[: flipped.sum()]]),
        "by chance": mean(flipped),
    }


def _purity(made: Any, cause: dict[int, str], counted: Sequence[str]) -> dict[str, float]:
    tables = [Counter(cause[index] for index in card.members if cause[index] in counted) for card in made]
    total = sum(tables, Counter[str]())
    count = sum(total.values())
    most = sum(max(table.values(), default=0) for table in tables)
    return {"errors": count, "purity": round(most / count, 4), "one cluster": round(max(total.values()) / count, 4)}


def mean(values: Any) -> float:
    """Return the mean to four digits; nan of nothing."""
    return round(float(np.mean(values)), 4) if len(values) else float("nan")


def _median(values: Sequence[int]) -> float:
    return float(np.median(values)) if values else float("nan")


def told(n: int = 400, seed: int = 0, calibrate: int = 64) -> dict[str, Any]:
    """Return every figure of the story."""
    inspection, world = inspected(n, seed)
    cause = causes(inspection, world)
    by_cause = {name: [index for index, why in cause.items() if why == name] for name in (*SHORTCUTS, "label", "other")}
    calibration = inspection.calibrate(calibrate, show=False)
    tagged = [index for index in by_cause["tag"] if not world.truth[index].flipped]
    return {
        "sha256": weights_hash(),
        "scenes": n,
        "seed": seed,
        "wrong": len(cause),
        "causes": {name: len(indices) for name, indices in by_cause.items()},
        "chosen overlay": calibration.best.label,
        "tag": tag_figures(inspection, world, tagged),
        "ground": ground_figures(inspection, world, by_cause["ground"]),
        "clusters": cluster_figures(inspection, cause),
        "suspects": suspect_figures(inspection, world),
    }


def table(figures: dict[str, Any]) -> str:
    """Return the overlays as a Markdown table, and everything else below it."""
    rows = figures["tag"]["overlays"]
    columns = list(next(iter(rows.values())))
    lines = [
        f"{figures['scenes']} scenes, {figures['wrong']} wrong, by cause: {figures['causes']}",
        f"calibration chooses {figures['chosen overlay']}; {figures['tag']['errors']} errors that the tag made:",
        "",
        f"| evidence for predicted over true | {' | '.join(columns)} |",
        "| --- |" + " --- |" * len(columns),
        *(f"| {name} | {' | '.join(f'{row[column]:.2f}' for column in columns)} |" for name, row in rows.items()),
        "",
        *_list(figures),
    ]
    return "\n".join(lines) + "\n"


def _list(figures: dict[str, Any]) -> Iterator[str]:
    for part in ("tag", "ground", "clusters", "suspects"):
        for name, value in figures[part].items():
            if name == "cards":
                yield from (f"  - cluster {number}: {card}" for number, card in enumerate(value, 1))
            elif name != "overlays":
                yield f"- {part}: {name}: {value}"


def record(figures: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write the figures beside the weights that they belong to."""
    path = folder / STORY
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="keep the figures beside the weights")
    parser.add_argument("--backgrounds", action="store_true", help="only ask about the animals on other backgrounds")
    arguments = parser.parse_args()
    if arguments.backgrounds:
        sys.stdout.write(background_figures(arguments.scenes, arguments.seed))
        return
    began = time.perf_counter()
    figures = told(arguments.scenes, arguments.seed)
    if arguments.record:
        record(figures)
    sys.stdout.write(f"{table(figures)}\n{time.perf_counter() - began:.0f} s\n")


if __name__ == "__main__":
    main()
