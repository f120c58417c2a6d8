"""open_clip's and timm's own loading, with every way it can fail turned into one of three errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class UnknownName(LookupError):
    """The library has no such model; ``known`` lists what it has."""

    def __init__(self, known: list[str]):
        super().__init__("unknown name")
        self.known = known


class Unreachable(RuntimeError):
    """The weights could not be downloaded."""


class NoTokenizer(RuntimeError):
    """The model is there, but its tokenizer is not: a package is missing, or its files could not be downloaded."""


class WrongWeights(ValueError):
    """A local checkpoint cannot be read, or does not fit the architecture."""


def create_timm(name: str, weights: Path | None, cache: str | None) -> nn.Module:
    """``timm.create_model(name, pretrained=True)``, or the architecture filled from ``weights``."""
    import timm

    known = timm.list_models()
    if name.split(".")[0] not in known and not name.startswith(("hf-hub:", "hf_hub:", "local-dir:")):
        raise UnknownName([*known, *timm.list_pretrained()])
    if weights is not None:
        model: nn.Module = timm.create_model(name, pretrained=False)
        _fill(model, weights)
        return model
    try:
        return timm.create_model(name, pretrained=True, cache_dir=cache)
    except Exception as error:  # any hub, network or disk failure of the library
        raise Unreachable(_first_line(error)) from error


def create_open_clip(
    architecture: str, tag: str | None, weights: Path | None, cache: str | None
) -> tuple[nn.Module, Any]:
    """``open_clip.create_model(architecture, pretrained=tag)`` and its tokenizer, or filled from ``weights``."""
    import open_clip

    hub = architecture.startswith(("hf-hub:", "local-dir:"))
    if not hub:
        if architecture not in open_clip.list_models():
            pairs = [f"{a}/{t}" for a, t in open_clip.list_pretrained()]
            raise UnknownName(pairs + open_clip.list_models())
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        if weights is None and tag not in tags:
            raise UnknownName([f"{architecture}/{t}" for t in tags])
    said = {} if hub or tag is None else open_clip.get_pretrained_cfg(architecture, tag) or {}
    forced: dict[str, Any] = {"force_quick_gelu": bool(said.get("quick_gelu"))}  # the tag's activation and input
    if seen := {key: said[key] for key in ("mean", "std", "interpolation", "resize_mode") if said.get(key)}:
        forced["force_preprocess_cfg"] = seen
    try:
        if weights is not None:
            model: nn.Module = open_clip.create_model(architecture, pretrained=None, load_weights=False, **forced)
            _fill(model, weights)
        else:
            model = open_clip.create_model(architecture, pretrained=tag, cache_dir=cache, **forced)
    except WrongWeights:
        raise
    except Exception as error:  # any hub, network or disk failure of the library
        raise Unreachable(_first_line(error)) from error
    try:
        return model, open_clip.get_tokenizer(architecture, cache_dir=cache)
    except Exception as error:  # SigLIP and others take theirs from the hub, through the package transformers
        raise NoTokenizer(_first_line(error)) from error


def _fill(model: nn.Module, weights: Path) -> None:
    try:
        if weights.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(weights)
        else:
            state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # corrupt, or a pickle that holds more than weights
        raise WrongWeights(f"{weights.name} holds no plain weights ({_first_line(error)})") from error
    state = _unpacked(state)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise WrongWeights(_first_line(error, lines=2)) from error


def _unpacked(state: Any) -> dict[str, Tensor]:
    """The state dict inside common training checkpoints, without a leading "module."."""
    for key in ("state_dict", "model", "module"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WrongWeights("the file holds no state dict of tensors")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _first_line(error: Exception, lines: int = 1) -> str:
    text = " ".join(line.strip() for line in str(error).strip().splitlines()[:lines])
    return f"{type(error).__name__}: {text[:200]}"
