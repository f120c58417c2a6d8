"""LeGrad on open_clip's largest vision towers, random weights in bfloat16, on the CPU: seconds, FLOPs and memory.

    python -m tests.bench.large_models [ViT-L-14] [ViT-H-14] [ViT-bigG-14]

Each tower runs in a process of its own, under ``/usr/bin/time -v`` where there is one. Nothing is downloaded: a tower
is built without storage and filled in place, so that no float32 copy of it ever exists. The target is a random
direction, so the text tower is not needed.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import legrad_widget as lw
from tests.bench import vit_b16

NAMES = ("ViT-L-14", "ViT-H-14", "ViT-bigG-14")
MIB = 2**20


@dataclass(frozen=True)
class Phase:
    """One step: its seconds and FLOPs, and the most resident memory (bytes) beyond what there was before it."""

    seconds: float
    flops: int
    rise: int


@dataclass(frozen=True)
class Measured:
    """All figures of one tower; sizes in bytes. ``block``: one block's weights in float32."""

    name: str
    parameters: int
    weights: int
    block: int
    tokens: int
    wrap: Phase
    encode: Phase
    explain: Phase
    peak: int


def tower(name: str) -> nn.Module:
    """The vision tower of an open_clip architecture with random bfloat16 weights."""
    import open_clip
    from open_clip.model import _build_vision_tower

    config = open_clip.get_model_config(name)
    with torch.device("meta"):
        built: Any = _build_vision_tower(config["embed_dim"], config["vision_cfg"], config.get("quick_gelu", False))
    built = built.to(torch.bfloat16).to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for path, parameter in built.named_parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0, 0.5 * parameter.shape[-1] ** -0.5, generator=generator)
            elif path.endswith("weight"):
                parameter.fill_(1)
            else:
                parameter.normal_(0, 0.1, generator=generator)
    assert not [*built.buffers()]  # to_empty would have left them unset
    return built


def measure(name: str) -> Measured:
    """LeGrad for one direction on one image; call it in a fresh process, its peak is the process's."""
    module = tower(name)
    block = 4 * sum(p.numel() for p in module.transformer.resblocks[0].parameters())
    made: dict[str, Any] = {}

    def wrap() -> None:
        made["model"] = lw.wrap(module, name=name)

    def encode() -> None:
        image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
        made["encoding"] = made["model"].encode(image)

    def explain() -> None:
        direction = np.random.default_rng(1).standard_normal(made["model"].vit.features).astype(np.float32)
        made["explanation"] = made["encoding"].explain(direction)

    phases = {step.__name__: _phase(step) for step in (wrap, encode, explain)}
    assert made["explanation"].maps.dtype == np.float32
    assert np.isfinite(made["explanation"].maps).all()
    assert not any(made["explanation"].degenerate)
    return Measured(
        name=name,
        parameters=sum(p.numel() for p in module.parameters()),
        weights=sum(p.nbytes for p in module.parameters()),
        block=block,
        tokens=made["encoding"].nbytes,
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **phases,
    )


def _phase(step: Any) -> Phase:
    before = _resident("VmRSS")
    with open("/proc/self/clear_refs", "w") as marks:  # noqa: PTH123  (no file: it resets the high-water mark)
        marks.write("5")
    started = time.perf_counter()
    with vit_b16.countable(), FlopCounterMode(display=False) as counter:
        step()
    seconds = time.perf_counter() - started
    return Phase(seconds, counter.get_total_flops(), _resident("VmHWM") - before)


def _resident(key: str) -> int:
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key))


def measured_apart(name: str) -> tuple[Measured, int | None]:
    """The figures from a process of its own, and what ``/usr/bin/time -v`` calls its maximum resident size (bytes)."""
    clock = shutil.which("time", path="/usr/bin")
    command = [sys.executable, "-m", "tests.bench.large_models", "--measure", name]
    done = subprocess.run([*([clock, "-v"] if clock else []), *command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} could not be measured: {done.stderr[-2000:]}")
    raw = json.loads(done.stdout.splitlines()[-1])
    raw |= {step: Phase(**raw[step]) for step in ("wrap", "encode", "explain")}
    resident = [line for line in done.stderr.splitlines() if "Maximum resident set size" in line]
    return Measured(**raw), int(resident[0].split()[-1]) * 1024 if resident else None


def report(m: Measured, clocked: int | None) -> str:
    """A paragraph."""
    ratio = m.explain.flops / m.encode.flops
    lines = [
        f"{m.name}: {m.parameters / 1e6:.0f} M parameters, {m.weights / MIB:.0f} MiB in bfloat16; one block in float32 "
        f"{m.block / MIB:.0f} MiB",
        f"  wrap and check {m.wrap.seconds:.1f} s, encode {m.encode.seconds:.1f} s, LeGrad on all layers "
        f"{m.explain.seconds:.1f} s ({ratio:.4f} forwards)",
        f"  resident memory rises by {m.wrap.rise / MIB:.0f} MiB in wrap, {m.encode.rise / MIB:.0f} MiB in encode "
        f"(tokens held: {m.tokens / MIB:.0f} MiB), {m.explain.rise / MIB:.0f} MiB in LeGrad",
        f"  peak resident memory {m.peak / MIB:.0f} MiB"
        + (f"; /usr/bin/time -v: {clocked / MIB:.0f} MiB" if clocked else ""),
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--measure"]:
        print(json.dumps(asdict(measure(arguments[1]))))
        return
    unknown = [name for name in arguments if name not in NAMES]
    if unknown:
        sys.exit(f"there is no tower {unknown[0]!r} here; name one or more of {', '.join(NAMES)}")
    for name in arguments or NAMES:
        print(report(*measured_apart(name)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
