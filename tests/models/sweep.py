"""Every ViT in timm's own list: explained exactly, or refused by name with the reason.

What counts as a ViT is decided by the class that an entry builds, not by its name: made on the meta device, it has one
flat sequence ``blocks`` in which every block has attention heads. Each such entry is built two blocks deep, narrow and
with small pictures where its constructor can, with random weights whose norms, biases and LayerScales are far from
trivial. ``lw.wrap`` compares every block with the native forward on noise; here the whole tower, from the first block's
input through every replayed block and the readout, is compared once more on another picture, of another grid where the
model takes one. A difference there is an error, not a refusal. ``python -m tests.models.sweep`` writes the table.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import timm
import torch
from torch import nn

import legrad_widget as lw
from legrad_widget.models import family_of
from legrad_widget.models.capture import capture
from tests.specimens import shaken

TABLE = Path(lw.__file__).parent / "models" / "SUPPORTED.md"
HEAD_WIDTH, MOST_PATCHES, CLASSES = 16, 16, 10
TOLERANCE = 1e-4  # of the largest output number; both sides compute in float32


@dataclass(frozen=True)
class Entry:
    """An entry of the list: the class it builds, with which arguments."""

    name: str
    kind: type[nn.Module]
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """``why`` is "" where the entry is supported."""

    entry: Entry
    family: str = ""
    readout: str = ""
    grids: str = ""
    why: str = ""


class _WouldBuild(Exception):
    def __init__(self, kind: type[nn.Module], arguments: dict[str, Any]):
        self.kind, self.arguments = kind, arguments


@cache
def entries() -> tuple[Entry, ...]:
    """Every entry of ``timm.list_models()`` whose class is a ViT."""
    found = []
    with _nothing_built():
        for name in timm.list_models():
            try:
                timm.create_model(name)
            except _WouldBuild as built:
                found.append(Entry(name, built.kind, built.arguments))
    examples = {entry.kind: entry.name for entry in reversed(found)}
    vits = {kind for kind, name in examples.items() if _is_vit(on_meta(name))}
    return tuple(entry for entry in found if entry.kind in vits)


@contextmanager
def _nothing_built() -> Iterator[None]:
    """timm's entry points say what they would build instead of building it."""

    def say(kind: type[nn.Module], _variant: str, _pretrained: bool = False, **arguments: Any) -> None:
        raise _WouldBuild(kind, arguments)

    modules = [m for name, m in sys.modules.items() if name.startswith("timm.models.")]
    patches = [mock.patch.object(m, "build_model_with_cfg", say) for m in modules if hasattr(m, "build_model_with_cfg")]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def _is_vit(model: nn.Module) -> bool:
    blocks = getattr(model, "blocks", None)
    flat = isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks) > 0
    return flat and all(any(hasattr(m, "num_heads") or hasattr(m, "heads") for m in b.modules()) for b in blocks)


@cache
def on_meta(name: str) -> nn.Module:
    """The entry as it is, without weights."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some models compute with numbers while they are made
        return timm.create_model(name)


@cache
def _family(kind: type[nn.Module]) -> str:
    """The family that views models of this class, by name; an UnsupportedModel where there is none."""
    example = next(entry.name for entry in entries() if entry.kind is kind)
    return family_of(on_meta(example)).__name__.rpartition(".")[2]


def wrapped(entry: Entry) -> lw.Model:
    """The entry two blocks deep, as narrow as it can be made and run, with shaken random weights.

    Raises:
        UnsupportedModel: it is refused; or its native forward fails at every size that was tried, its own at last.
    """
    failure: Exception
    for options in _options(entry):
        try:
            return lw.wrap(shaken(timm.create_model(entry.name, **options)))
        except lw.UnsupportedModel as refusal:
            if "itself fails" not in str(refusal):
                raise
            failure = refusal
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:  # it cannot be made as narrow as that
            failure = error
    raise lw.UnsupportedModel(str(failure))


def _options(entry: Entry) -> Iterator[dict[str, Any]]:
    """Overrides, the smallest model first; the last is the entry itself."""
    config = getattr(timm.get_pretrained_cfg(entry.name), "num_classes", 1000)
    head = {"num_classes": min(entry.arguments.get("num_classes", config), CLASSES)}
    heads = entry.arguments.get("num_heads", 12)
    picture: dict[str, Any] = {}
    if (side := _side(entry)) is not None:
        picture = {"img_size": side, "pretrained_cfg_overlay": {"input_size": (3, *side)}}
    narrow = {"embed_dim": heads * HEAD_WIDTH}
    if isinstance(entry.arguments.get("num_kv_heads"), tuple):  # one number per block
        narrow["num_kv_heads"] = entry.arguments["num_kv_heads"][:2]
    yield {"depth": 2} | head | picture | narrow
    yield {"depth": 2} | head | picture
    yield {"depth": 2} | head
    yield {}


def _side(entry: Entry) -> tuple[int, int] | None:
    """A smaller picture where the entry's own would have more than 16 x 16 patches."""
    config = timm.get_pretrained_cfg(entry.name)
    size = entry.arguments.get("img_size") or (config.input_size[1:] if config else 224)
    height, width = size if isinstance(size, tuple | list) else (size, size)
    patch = entry.arguments.get("patch_size", 16)
    rows, columns = (min(side // patch, MOST_PATCHES) for side in (height, width))
    return None if (rows * patch, columns * patch) == (height, width) else (rows * patch, columns * patch)


def outcome(entry: Entry) -> Outcome:
    """Supported or refused; an AssertionError where a wrapped model differs from its native forward."""
    try:
        family = _family(entry.kind)
        vit = wrapped(entry).vit
    except lw.UnsupportedModel as refusal:
        return Outcome(entry, why=reason(refusal))
    grids = [vit.grid] if vit.fixed_grid else [vit.grid, (vit.grid[0] // 2 + 1, vit.grid[1] // 2 + 2)]
    for grid in grids:
        error = tower_error(vit, grid)
        assert error < TOLERANCE, f"{entry.name} at {grid}: the replayed tower is {error:.1e} off the native output"
    return Outcome(entry, family, vit.readout.kind, "one" if vit.fixed_grid else "any")


def reason(refusal: lw.UnsupportedModel) -> str:
    """The refusal without the list of what is supported, which is the same for all."""
    return str(refusal).partition(". Supported are ")[0]


@torch.no_grad()
def tower_error(vit: Any, grid: tuple[int, int], seed: int = 1) -> float:
    """Largest difference between the native output and the tower replayed from its first block's input, relative."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.randn(3, grid[0] * vit.patch[0], grid[1] * vit.patch[1], generator=generator)
    tokens, native = capture(vit, picture, budget=0)
    z = tokens.before(1)
    for layer in range(1, tokens.depth + 1):
        z = tokens.block(layer)(z)
    features = vit.readout(z)
    if vit.classes is not None:
        weight, bias = vit.classes()
        features = features @ weight.T + (0 if bias is None else bias)
    return float((features - native).abs().max() / native.abs().max())


def table(outcomes: list[Outcome]) -> str:
    """The Markdown that is kept beside the families."""
    supported = [o for o in outcomes if not o.why]
    lines = [
        "# Which of timm's ViTs can be explained",
        "",
        f"Of the {len(outcomes)} ViTs in the list of timm {timm.__version__}, {len(supported)} are supported and "
        f"{len(outcomes) - len(supported)} are refused with the reason given here. Supported means: every block, and "
        "the whole tower with its readout, equals the native forward (random weights, two blocks deep, narrowed). "
        "A ViT is an entry that builds one flat sequence of blocks, each with attention heads; hierarchical models of "
        "several stages are not listed. Written by `python -m tests.models.sweep`.",
        "",
        "| architecture | family | readout | grids | |",
        "|---|---|---|---|---|",
    ]
    for o in sorted(outcomes, key=lambda o: (bool(o.why), o.family, o.entry.name)):
        family = o.family.removeprefix("from_") or o.entry.kind.__name__
        why = f"refused: {o.why}" if o.why else "supported"
        lines.append(f"| `{o.entry.name}` | {family} | {o.readout} | {o.grids} | {why} |")
    return "\n".join(lines) + "\n"


def main(report: Callable[[str], None] = print) -> None:
    """Sweep, and write the table."""
    outcomes = []
    for entry in entries():
        outcomes.append(outcome(entry))
        report(f"{entry.name}: {outcomes[-1].why or 'supported'}")
    TABLE.write_text(table(outcomes), encoding="utf-8")
    report(f"{sum(not o.why for o in outcomes)} of {len(outcomes)} supported; written to {TABLE.name}")


if __name__ == "__main__":
    main()
