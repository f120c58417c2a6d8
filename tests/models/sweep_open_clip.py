"""Every architecture in open_clip's own list: its vision tower explained exactly, or refused with the reason.

Towers are built as open_clip builds them, two blocks deep, narrow and with small pictures, with shaken random weights;
those that cannot be built small (convolutional ones) without weights, which is enough to be refused. What is compared
is what `tests.models.sweep` compares. ``python -m tests.models.sweep_open_clip`` writes the table.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import open_clip
import timm
import torch
from open_clip.model import _build_vision_tower
from torch import nn

import legrad_widget as lw
from legrad_widget.models import family_of
from tests.models.sweep import HEAD_WIDTH, TOLERANCE, reason, tower_error
from tests.specimens import shaken

TABLE = Path(lw.__file__).parent / "models" / "SUPPORTED_OPEN_CLIP.md"
ROWS, POOLER_WIDTH = 4, 8


@dataclass(frozen=True)
class Outcome:
    """``why`` is "" where the architecture is supported."""

    name: str
    tower: str
    family: str = ""
    readout: str = ""
    grids: str = ""
    why: str = ""


def names() -> list[str]:
    """Every architecture of the installed open_clip."""
    return list(open_clip.list_models())


def outcome(name: str) -> Outcome:
    """Supported or refused; an AssertionError where a wrapped tower differs from its native forward."""
    tower = small(name)
    trunk = getattr(tower, "trunk", tower)
    kind = type(trunk).__name__
    try:
        family_of(trunk)  # what has no weights is refused here
        family = family_of(tower).__name__.rpartition(".")[2]
        vit = lw.wrap(tower).vit
    except lw.UnsupportedModel as refusal:
        return Outcome(name, kind, why=reason(refusal))
    grids = [vit.grid] if vit.fixed_grid else [vit.grid, (vit.grid[0] // 2 + 1, vit.grid[1] // 2 + 2)]
    for grid in grids:
        error = tower_error(vit, grid)
        assert error < TOLERANCE, f"{name} at {grid}: the replayed tower is {error:.1e} off the native output"
    return Outcome(name, kind, family, vit.readout.kind, "one" if vit.fixed_grid else "any")


def small(name: str) -> nn.Module:
    """The architecture's vision tower, small; without weights where it is of a kind that cannot be made small."""
    config = open_clip.get_model_config(name)
    vision, embed, quick = dict(config["vision_cfg"]), config["embed_dim"], config.get("quick_gelu", False)
    if "timm_model_name" in vision:
        return _timm(vision, embed)
    if isinstance(vision["layers"], list):
        with torch.device("meta"):
            return _build_vision_tower(embed, vision, quick)
    heads = vision.get("width", 768) // vision.get("head_width", 64)
    patch = vision.get("patch_size", 16)
    vision |= {"layers": 2, "width": heads * HEAD_WIDTH, "head_width": HEAD_WIDTH, "image_size": patch * ROWS}
    return shaken(_build_vision_tower(vision.get("attn_pooler_heads", 8) * POOLER_WIDTH, vision, quick))


def _timm(vision: dict[str, Any], embed: int) -> nn.Module:
    vision["timm_model_pretrained"] = False
    for overrides in _overrides(vision["timm_model_name"]):
        try:
            with _created_with(overrides):
                return shaken(_build_vision_tower(embed, vision))
        except (AssertionError, RuntimeError, TypeError, ValueError):
            continue
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some models compute with numbers while they are made
        return _build_vision_tower(embed, vision)


def _overrides(name: str) -> Iterator[dict[str, Any]]:
    """What makes a timm ViT small; other kinds take none of it."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = timm.create_model(name, pretrained=False)
    block, patches = next(iter(getattr(whole, "blocks", [])), None), getattr(whole, "patch_embed", None)
    heads, patch = getattr(getattr(block, "attn", None), "num_heads", None), getattr(patches, "patch_size", None)
    if heads is None or patch is None:
        return
    picture = {"img_size": (patch[0] * ROWS, patch[1] * ROWS)}
    yield {"depth": 2, "embed_dim": heads * HEAD_WIDTH} | picture
    yield {"depth": 2} | picture
    yield {"depth": 2}


@contextmanager
def _created_with(overrides: dict[str, Any]) -> Iterator[None]:
    """open_clip names a timm architecture and nothing else; what it creates gets ``overrides`` as well."""
    create = timm.create_model
    with mock.patch.object(timm, "create_model", lambda *given, **named: create(*given, **named, **overrides)):
        yield


def table(outcomes: list[Outcome]) -> str:
    """The Markdown that is kept beside the families."""
    supported = [o for o in outcomes if not o.why]
    lines = [
        "# Which of open_clip's models can be explained",
        "",
        f"Of the {len(outcomes)} architectures in the list of open_clip {open_clip.__version__}, {len(supported)} are "
        f"supported and {len(outcomes) - len(supported)} are refused with the reason given here. Supported means: "
        "every block, and the whole vision tower with its readout, equals the native forward (random weights, two "
        "blocks deep, narrowed). Written by `python -m tests.models.sweep_open_clip`.",
        "",
        "| architecture | tower | family | readout | grids | |",
        "|---|---|---|---|---|---|",
    ]
    for o in sorted(outcomes, key=lambda o: (bool(o.why), o.family, o.tower, o.name)):
        why = f"refused: {o.why}" if o.why else "supported"
        lines.append(f"| `{o.name}` | {o.tower} | {o.family.removeprefix('from_')} | {o.readout} | {o.grids} | {why} |")
    return "\n".join(lines) + "\n"


def main(report: Callable[[str], None] = print) -> None:
    """Sweep, and write the table."""
    outcomes = []
    for name in names():
        outcomes.append(outcome(name))
        report(f"{name}: {outcomes[-1].why or 'supported'}")
    TABLE.write_text(table(outcomes), encoding="utf-8")
    report(f"{sum(not o.why for o in outcomes)} of {len(outcomes)} supported; written to {TABLE.name}")


if __name__ == "__main__":
    main()
