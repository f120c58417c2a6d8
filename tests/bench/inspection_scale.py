"""An inspection of 10 000 pictures: seconds, memory, and that a restart computes nothing.

    python -m tests.bench.inspection_scale [samples]

Pictures are drawn when they are asked for, the model is a tiny ViT with random weights: what is measured is everything
around it. Printed as JSON; ``tests/inspection/test_scale.py`` runs a short form and asserts what does not depend on the
machine.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import legrad_widget as lw
from legrad_widget.inspection import Inspection, open_inspection
from tests import specimens

CLASSES = [f"class {index}" for index in range(specimens.CLASSES)]


class Drawn:
    """A sequence of pictures that are drawn when they are asked for, with their labels."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        coarse = np.random.default_rng(index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return coarse.repeat(8, 0).repeat(8, 1), index % len(CLASSES)


@dataclass(frozen=True)
class Scale:
    """What came out. Seconds unless the name says otherwise."""

    samples: int
    errors: int
    first_run: float
    forwards: int
    table: float
    table_again: float
    sort: float
    neighbours: float
    hundred_maps: float
    save: float
    reopen: float
    second_run: float
    forwards_again: int
    held_per_sample_bytes: int
    resident_rise_mib: float
    peak_rise_mib: float
    cache_mib: float
    saved_mib: float


def held(inspection: Inspection) -> int:
    """Bytes that an inspection holds of its samples, the table and the maps left out."""
    arrays = (inspection.records, inspection.digests, inspection._status)
    return sum(array.nbytes for array in arrays) + sum(map(len, inspection.small))


def measure(count: int, folder: Path) -> Scale:
    """Run it all once, the cache in ``folder``."""
    module = specimens.timm_vit()
    model, forwards = lw.wrap(module, class_names=CLASSES), [0]
    module.blocks[0].register_forward_hook(
        lambda _module, args, _output: forwards.__setitem__(0, forwards[0] + len(args[0]))
    )
    before, _ = _memory()
    _reset_peak()
    r = Inspection(model, Drawn(count), cache=folder / "cache")
    first_run = _seconds(lambda: r.run(False))
    resident, peak = _memory()
    counted = forwards[0]
    table, table_again = _seconds(lambda: r.frame), _seconds(lambda: r.frame)
    sort = _seconds(lambda: r.sorted("confident_errors"))
    near = _seconds(lambda: r.neighbours(int(r.wrong[0])))
    hundred = _seconds(lambda: [one for one, _ in zip(r.contrasts(), range(100), strict=False)])
    save = _seconds(lambda: r.save(folder / "saved"))
    reopen = _seconds(lambda: open_inspection(folder / "saved").frame)
    forwards[0] = 0
    second_run = _seconds(lambda: Inspection(model, Drawn(count), cache=folder / "cache").run(False))
    return Scale(
        count, len(r.wrong), first_run, counted, table, table_again, sort, near, hundred, save, reopen, second_run,
        forwards[0], held(r) // count, (resident - before) / 2**20, (peak - before) / 2**20,
        _size(folder / "cache") / 2**20, _size(folder / "saved") / 2**20,
    )  # fmt: skip


def _seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return round(time.perf_counter() - started, 3)


def _memory() -> tuple[int, int]:
    """Resident now, and at its highest since the mark was reset, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    now, peak = (int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) * 1024 for key in ("VmRSS", "VmHWM"))  # type: ignore[index]
    return now, peak


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(measure(count, Path(folder))), indent=1))


if __name__ == "__main__":
    main()
