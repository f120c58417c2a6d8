"""Train the built-in model from the committed sprite sheets.

A run follows a plan of stages at one image size and a constant learning rate each. A stage whose rate decays (a
cool-down) can start from any checkpoint and gives weights that can ship, so training may stop at any time and more of
it only improves the file::

    python -m legrad_widget.builtin.train --run runs/a --workers 2                      # the whole default plan
    python -m legrad_widget.builtin.train --run runs/a --workers 2 --resume             # go on after a stop
    python -m legrad_widget.builtin.train --run runs/b --start runs/a/last.pt --plan 64:1500:80:2e-3:decay
    python -m legrad_widget.builtin.train --run runs/c --warm-start --plan 64:4000:80:1e-3,64:1500:80:1e-3:decay
    python -m legrad_widget.builtin.train --export runs/b/last.pt                       # write the shipped files

A stage reads `pixels:steps:batch:rate[:keep=share][:drop=chance][:decay]` (see `plan.Stage`); batch is per worker.
Ctrl-C or SIGTERM ends a run with a checkpoint. Two workers of one thread each are faster on two cores than one process
with two threads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from tqdm import tqdm

from .. import __version__
from . import plan as plans
from .loading import export, manifest, shipped_weights
from .network import new_network
from .progress import Progress
from .sprites import sheet_names
from .trainer import Setting, Trainer

LAST = "last.pt"


class Stop:
    """Turns a request to end (Ctrl-C, SIGTERM) into an answer, so that a run ends after a step, with a checkpoint."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True

    def agreed(self, workers: int) -> bool:
        """Return whether the first worker was asked to stop; the same answer in every worker."""
        if workers == 1:
            return self.asked
        flag = torch.tensor([float(self.asked)])
        dist.broadcast(flag, 0)
        return bool(flag.item())


class Journal:
    """Log lines and checkpoints of a run, kept by its first worker."""

    def __init__(self, folder: Path, scenes: int) -> None:
        self.folder, self.scenes = folder, scenes
        self._progress: Progress | None = None
        self._recent: deque[tuple[float, float]] = deque(maxlen=100)
        self._since = (time.perf_counter(), 0)

    def begin(self, trainer: Trainer) -> None:
        """Start to count time and images."""
        self._since = (time.perf_counter(), trainer.at.images)

    def note(self, losses: tuple[float, float]) -> None:
        """Remember the losses of one step."""
        self._recent.append(losses)

    def write(self, trainer: Trainer) -> None:
        """Measure the averaged weights, log a line, and save a checkpoint."""
        pixels = trainer.stage.pixels
        if self._progress is None or self._progress.pixels != pixels:
            self._progress = Progress(pixels, self.scenes)
        averaged = new_network(pixels).to(trainer.device)
        averaged.load_state_dict(trainer.average)
        began, images = self._since
        numbers = {
            "scene_loss": float(np.mean([scene for scene, _ in self._recent])),
            "patch_loss": float(np.mean([patch for _, patch in self._recent])),
            "images_per_s": (trainer.at.images - images) / (time.perf_counter() - began),
            "logit_scale": float(trainer.model.logit_scale.detach().exp()),
            "logit_bias": float(trainer.model.logit_bias.detach()),
            **self._progress.measure(averaged),
        }
        line = {"time": time.strftime("%H:%M:%S"), "pixels": pixels, **asdict(trainer.at)}
        line |= {name: round(value, 4) for name, value in numbers.items()}
        tqdm.write(json.dumps(line))
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        save(trainer.state(), self.folder / LAST)
        self.begin(trainer)


def save(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint in one move, so that a crash cannot leave half of one."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def read(path: Path, device: str) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        FileNotFoundError: there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}; start a run without --resume, or name another file")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def run(trainer: Trainer, folder: Path, *, every: int, scenes: int = 218, limit: int | None = None) -> None:
    """Train to the end of the plan, or `limit` steps; log, measure on `scenes` scenes and save every `every`."""
    stop, journal, taken = Stop(), Journal(folder, scenes), 0
    journal.begin(trainer)
    first = trainer.rank == 0
    while not trainer.finished:
        if trainer.at.step == trainer.stage.steps:
            trainer.next_stage()
        total, done = trainer.stage.steps, trainer.at.step
        quiet = not first or not sys.stderr.isatty()
        with tqdm(total=total, initial=done, desc=f"{trainer.stage.pixels} px", disable=quiet) as bar:
            while trainer.at.step < total:
                journal.note(trainer.step())
                bar.update()
                taken += 1
                stopping = taken == limit or (trainer.at.total % 10 == 0 and stop.agreed(trainer.setting.workers))
                if first and (stopping or trainer.at.total % every == 0 or trainer.at.step == total):
                    journal.write(trainer)
                if stopping:
                    return


def work(rank: int, arguments: argparse.Namespace, meeting: str) -> None:
    """Be one worker of a run."""
    if rank > 0:  # the first worker listens to requests to stop, and tells the others
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if arguments.workers > 1:
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=arguments.workers)
    setting = Setting(arguments.seed, arguments.dense, arguments.workers, code=code_hash())
    trainer = Trainer(plans.parse(arguments.plan), setting, rank=rank, device=arguments.device)
    if arguments.resume:
        trainer.resume(read(arguments.run / LAST, arguments.device))
    elif arguments.start:
        trainer.start_from(read(arguments.start, arguments.device))
    elif arguments.warm_start:
        training = manifest()["training"]
        trainer.warm_start(shipped_weights(), training["stages"], training["steps"], training["images"])
    run(trainer, arguments.run, every=arguments.every, limit=arguments.limit)
    if arguments.workers > 1:
        dist.destroy_process_group()


def launch(arguments: argparse.Namespace) -> None:
    """Start all workers of a run and be the first of them."""
    arguments.run.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # workers that share cores must not spin
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        context = torch.multiprocessing.get_context("spawn")
        others = [context.Process(target=work, args=(rank, arguments, meeting)) for rank in range(1, arguments.workers)]
        for process in others:
            process.start()
        work(0, arguments, meeting)
        for process in others:
            process.join()


def code_hash() -> str:
    """Return the first digits of the sha256 of this package's sources."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def about(state: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of a checkpoint's averaged weights: how they were made."""
    trainer = Trainer(plans.parse("32:1:1:1e-3"), Setting(textures=1))
    trainer.start_from(state)
    return {
        "version": __version__,
        "training": {
            "data": "scenes composed of emoji pictures (no photographs) and captions about them",
            "mask_supervision": any(stage["dense"] for stage in trainer.past),
            "steps": trainer.at.total,
            "images": trainer.at.images,
            "stages": trainer.past,
            "sheets": list(sheet_names("train")),
            "torch": torch.__version__,
            "machine": platform.machine(),
        },
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder for checkpoints and the log")
    parser.add_argument("--plan", default=plans.DEFAULT, help=f"the stages (default: {plans.DEFAULT})")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--start", type=Path, help="begin the plan with the weights of this checkpoint")
    parser.add_argument("--warm-start", action="store_true", help="begin the plan with the shipped weights")
    parser.add_argument("--export", type=Path, help="write the shipped files from this checkpoint, and do no more")
    parser.add_argument("--workers", type=int, default=1, help="processes that average their gradients")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dense", type=float, default=1.0, help="weight of the mask-supervised patch loss")
    parser.add_argument("--every", type=int, default=300, help="steps between checkpoints")
    parser.add_argument("--limit", type=int, help="stop after this many steps")
    arguments = parser.parse_args()
    if arguments.export:
        state = read(arguments.export, "cpu")
        tqdm.write(f"wrote {export(state['average'], about(state))}")
    elif arguments.run is None:
        parser.error("say where to keep checkpoints: --run FOLDER")
    else:
        launch(arguments)


if __name__ == "__main__":
    main()
