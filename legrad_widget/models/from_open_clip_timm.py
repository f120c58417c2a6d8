"""open_clip's ``TimmModel`` towers (SigLIP, PE-Core, EVA02-CLIP, ...): a timm trunk as its family reads it, a head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from . import family_of
from ._timm_parts import mlp
from .from_open_clip import preprocess as configured
from .live import Affine
from .mlp import Mlp
from .preprocess import Preprocess
from .readout import Chain
from .view import UnsupportedModel, ViT

Step = Affine | Mlp


def matches(module: nn.Module) -> bool:
    """Whether this is an open_clip model whose vision tower is a ``TimmModel``, or the bare tower."""
    tower = getattr(module, "visual", module)
    return isinstance(getattr(tower, "trunk", None), nn.Module) and isinstance(getattr(tower, "head", None), nn.Module)


def build(module: Any, name: str | None = None) -> ViT:
    """The view of a ``CustomTextCLIP``, ``CLIP`` or ``CoCa`` over a timm trunk, or of a bare ``TimmModel``.

    A head of the trunk and the head of the tower are both part of the projection: features are the model's own image
    vector, before it is normalised.

    Raises:
        UnsupportedModel: the trunk is none of timm's families here, or the head is more than a linear map or an MLP.
    """
    tower = getattr(module, "visual", module)
    trunk = family_of(tower.trunk).build(tower.trunk, f"the trunk of {name or 'this open_clip model'}")
    steps = [*_trunk_head(trunk), *_tower_head(tower.head)]
    outer = "visual.trunk" if hasattr(module, "visual") else "trunk"
    return replace(
        trunk,
        name=name or f"open_clip {type(module).__name__} on {type(tower.trunk).__name__}",
        module=module,
        blocks=tuple(replace(block, name=f"{outer}.{block.name}") for block in trunk.blocks),
        readout=replace(trunk.readout, projection=_projection(steps)) if steps else trunk.readout,
        features=_width(steps[-1]) if steps else trunk.features,
        native=lambda images, grid: tower.head(trunk.native(images, grid)),
        classes=None,
    )


def preprocess(module: Any) -> Preprocess:
    """What open_clip configured for the tower; the trunk's own where it configured nothing."""
    tower = getattr(module, "visual", module)
    if getattr(tower, "preprocess_cfg", None):
        return configured(module)
    found: Preprocess = family_of(tower.trunk).preprocess(tower.trunk)
    return found


def _trunk_head(trunk: ViT) -> list[Step]:
    """The trunk's classifier, which such a tower uses as its projection."""
    if trunk.readout.projection is not None:
        raise UnsupportedModel(f"{trunk.name} projects its pooled tokens itself, which is not supported in open_clip")
    if trunk.classes is None:
        return []
    head = getattr(trunk.module, "head", None)
    if not isinstance(head, nn.Linear) or hasattr(trunk.module, "head_dist"):
        raise UnsupportedModel(f"{trunk.name} ends in a {type(head).__name__}; one linear head is supported")
    return [Affine(head)]


def _tower_head(head: Any) -> list[Step]:
    """``TimmModel.head``: nothing, a linear map, or an MLP; dropout does nothing here."""
    parts = {name: part for name, part in head.named_children() if not isinstance(part, nn.Dropout | nn.Identity)}
    if not parts:
        return []
    if list(parts) == ["proj"] and isinstance(parts["proj"], nn.Linear):
        return [Affine(parts["proj"])]
    if list(parts) == ["mlp"]:
        return [mlp(parts["mlp"], "the head")]
    kinds = ", ".join(type(part).__name__ for part in parts.values())
    raise UnsupportedModel(f"the head of this open_clip tower is {kinds}; a linear map or an MLP is supported")


def _projection(steps: list[Step]) -> Step | Chain:
    return steps[0] if len(steps) == 1 else Chain(tuple(steps))


def _width(step: Step) -> int:
    last = step.fc2 if isinstance(step, Mlp) else step
    return int(last.weight.shape[0])
