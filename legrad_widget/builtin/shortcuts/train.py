"""Train the classifier that learns the shortcuts, from the committed sprite sheets::

    python -m legrad_widget.builtin.shortcuts.train --run runs/s                  # the shipped course
    python -m legrad_widget.builtin.shortcuts.train --run runs/s --resume         # go on after a stop
    python -m legrad_widget.builtin.shortcuts.train --export runs/s/last.pt       # write the shipped files

Counted in steps and seeded: on one kind of machine and one version of torch the same bits, elsewhere the same figures.
Ctrl-C or SIGTERM ends a run with a checkpoint. One thread is enough.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ... import __version__
from ..train import LAST, Stop, read, save
from .lessons import SHEETS
from .loading import export
from .network import new_classifier
from .recognition import recognition
from .trainer import Course, ShortcutTrainer
from .world import (
    CLASSES,
    GROUND,
    GROUNDED,
    TAGGED,
    TRAINED_ON_GROUND,
    TRAINED_WITH_TAG,
    ShortcutWorld,
    shortcut_world,
)

STEPS = 1500
VALIDATION, TEST = 1, 0  # seeds of the worlds: one to watch while training, one for the reported figures


def averaged(trainer: ShortcutTrainer) -> nn.Module:
    """Return the classifier with the averaged weights, in eval mode."""
    model = new_classifier()
    model.load_state_dict(trainer.average)
    return model.eval()


def run(trainer: ShortcutTrainer, folder: Path, *, every: int, scenes: int = 400, limit: int | None = None) -> None:
    """Train to the end of the course, or `limit` steps; measure on `scenes` scenes, log and save every `every`."""
    stop, world, losses, began = Stop(), shortcut_world(scenes, seed=VALIDATION), [], time.perf_counter()
    end = min(trainer.course.steps, trainer.step_number + (limit or trainer.course.steps))
    with tqdm(total=trainer.course.steps, initial=trainer.step_number, disable=None) as bar:
        while trainer.step_number < end and not stop.asked:
            losses.append(trainer.step())
            bar.update()
            if trainer.step_number % every == 0 or trainer.step_number == end or stop.asked:
                images = len(losses) * trainer.course.batch
                line = {
                    "step": trainer.step_number,
                    "loss": round(float(np.mean(losses)), 4),
                    "images_per_s": round(images / (time.perf_counter() - began), 1),
                    **recognition(averaged(trainer), world),
                }
                note(line, folder)
                save(trainer.state(), folder / LAST)
                losses, began = [], time.perf_counter()


def note(line: dict[str, Any], folder: Path) -> None:
    """Append a line to the run's log, and show it."""
    tqdm.write(json.dumps(line))
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def about(state: dict[str, Any], world: ShortcutWorld) -> dict[str, Any]:
    """Return the manifest of a checkpoint's averaged weights: how they were made, and how well they do on a world.

    Raises:
        ValueError: the run has not ended.
    """
    trainer = ShortcutTrainer.resumed(state)
    if not trainer.finished:
        raise ValueError(f"the run stopped at step {trainer.step_number} of {trainer.course.steps}; resume it first")
    return {
        "version": __version__,
        "classes": list(CLASSES),
        "planted": {
            "tag": {"class": TAGGED, "share": TRAINED_WITH_TAG},
            "ground": {"class": GROUNDED, "on": GROUND, "share": TRAINED_ON_GROUND},
        },
        "training": {
            "data": "scenes composed of emoji pictures (no photographs), with their class as the only supervision",
            **state["course"],
            "images": trainer.course.steps * trainer.course.batch,
            "sheets": list(SHEETS),
            "torch": torch.__version__,
            "machine": platform.machine(),
        },
        "test": {"scenes": len(world), "seed": world.seed, **recognition(averaged(trainer), world)},
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder for checkpoints and the log")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--export", type=Path, help="write the shipped files from this checkpoint, and do no more")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=100, help="steps between checkpoints")
    parser.add_argument("--limit", type=int, help="stop after this many steps")
    arguments = parser.parse_args()
    if arguments.export:
        state = read(arguments.export, "cpu")
        tqdm.write(f"wrote {export(state['average'], about(state, shortcut_world(500, seed=TEST)))}")
        return
    if arguments.run is None:
        parser.error("say where to keep checkpoints: --run FOLDER")
    torch.set_num_threads(1)
    arguments.run.mkdir(parents=True, exist_ok=True)
    if arguments.resume:
        trainer = ShortcutTrainer.resumed(read(arguments.run / LAST, "cpu"))
    else:
        trainer = ShortcutTrainer(Course(arguments.steps, seed=arguments.seed))
    run(trainer, arguments.run, every=arguments.every, limit=arguments.limit)


if __name__ == "__main__":
    main()
