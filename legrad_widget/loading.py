"""Models by name: the built-in one, and open_clip's and timm's through the libraries' own hub loading."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from .explainer import Model
from .models import library
from .models.from_timm import class_names as timm_class_names
from .models.live import fingerprint
from .reliability import LayerReliability
from .translator import Translators
from .wrapping import wrap


class ModelNotAvailable(ValueError):
    """The model or its weights are not to be had; the message says what to do, offline too."""


def load(
    name: str = "builtin",
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Model:
    """A Model by name.

    Args:
        name: "builtin" (offline), "shortcuts" (offline: a small classifier that learned two shortcuts, see
            :func:`legrad_widget.builtin.shortcut_world`), "open_clip:ViT-B-16/laion2b_s34b_b88k" or
            "timm:vit_base_patch16_224".
        device, dtype: where and in which precision the model runs; attribution is float32 always.
        cache_dir: the libraries' download cache (the built-in model downloads nothing).
        checkpoint: a local weights file (``.safetensors``, or a weights-only ``.pt``) in place of a download.

    Raises:
        ModelNotAvailable: unknown name, no network, or a checkpoint that does not fit. TypeError: not a name.
    """
    if isinstance(name, nn.Module):
        raise TypeError("lw.load takes a name; for a model you already have use lw.wrap(model)")
    if not isinstance(name, str):
        raise TypeError(
            f"lw.load takes a name such as 'builtin' or 'timm:vit_base_patch16_224'; this is {type(name).__name__}"
        )
    where = _device(device)
    if dtype is not None and (not isinstance(dtype, torch.dtype) or not dtype.is_floating_point):
        raise TypeError(f"dtype is torch.float32, torch.float16 or torch.bfloat16; arrived: {dtype!r}")
    if name in _BUILT_IN:
        if checkpoint is not None:
            raise ModelNotAvailable("the built-in model comes with its weights; leave out checkpoint")
        return _built_in(name, where, dtype)
    source, _, rest = name.partition(":")
    if source not in ("open_clip", "timm") or not rest:
        raise ModelNotAvailable(
            f"there is no model {name!r}; use 'builtin', 'shortcuts', 'open_clip:ARCHITECTURE/WEIGHTS' "
            "(e.g. 'open_clip:ViT-B-16/laion2b_s34b_b88k') or 'timm:NAME' (e.g. 'timm:vit_base_patch16_224')"
        )
    weights = None if checkpoint is None else _checkpoint(checkpoint)
    cache = None if cache_dir is None else os.fspath(cache_dir)
    with _explained(source, rest):
        if source == "timm":
            module, tokenizer = library.create_timm(rest, weights, cache), None
        else:
            module, tokenizer = library.create_open_clip(*_parts(rest), weights, cache)
    names = timm_class_names(module) if source == "timm" else None
    return wrap(module.to(where, dtype).eval(), tokenizer=tokenizer, name=name, class_names=names)


def _parts(name: str) -> tuple[str, str | None]:
    """Architecture and pretrained tag of an open_clip name."""
    if "/" not in name or name.startswith("local-dir:"):
        return name, None
    architecture, _, tag = name.rpartition("/")
    return architecture, tag or None


def _device(device: str | torch.device) -> torch.device:
    try:
        where = torch.device(device)
        torch.empty(0, device=where)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise ModelNotAvailable(f"there is no device {device!r} here; use device='cpu' ({str(error)[:80]})") from error
    return where


def _built_in(name: str, device: torch.device, dtype: torch.dtype | None) -> Model:
    try:
        return _BUILT_IN[name](device, dtype)
    except FileNotFoundError as error:
        raise ModelNotAvailable(str(error)) from error


def _builtin(device: torch.device, dtype: torch.dtype | None) -> Model:
    from . import builtin

    made = builtin.load(device=str(device), dtype=dtype)
    model = wrap(made.clip, tokenizer=made.tokenizer, class_names=made.vocabulary.nouns, name="builtin")
    threshold = made.manifest.get("support", {}).get("probability")
    model = replace(model, vocabulary=made.vocabulary, support_threshold=threshold)
    layers = builtin.layer_calibration()
    if layers is None:
        return model
    translators = Translators.load(builtin.translators_file(), device, made_for=fingerprint(model.module))
    return replace(model, layer_reliability=LayerReliability.from_json(layers), translators=translators)


def _shortcuts(device: torch.device, dtype: torch.dtype | None) -> Model:
    from .builtin.shortcuts import CLASSES, load_classifier

    return wrap(load_classifier(device, dtype), class_names=CLASSES, name="shortcuts")


_BUILT_IN = {"builtin": _builtin, "shortcuts": _shortcuts}


@contextmanager
def _explained(source: str, name: str) -> Iterator[None]:
    """Every way a library's loading can fail, as a sentence."""
    try:
        yield
    except library.UnknownName as error:
        raise ModelNotAvailable(_unknown(source, name, error.known)) from error
    except library.WrongWeights as error:
        raise ModelNotAvailable(f"the checkpoint does not fit {source}'s {name}: {error}") from error
    except library.NoTokenizer as error:
        raise ModelNotAvailable(_no_tokenizer(name, error)) from error
    except library.Unreachable as error:
        raise ModelNotAvailable(_offline(source, name, error)) from error


def _checkpoint(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        raise ModelNotAvailable(
            f"there is no checkpoint file {os.fspath(path)!r}; pass a local .safetensors or weights-only .pt file"
        )
    return file


def _unknown(source: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"{source} has no {name!r}" + (
        f"; did you mean {', '.join(map(repr, close))}?" if close else f"; see {source}'s model list"
    )


def _no_tokenizer(name: str, error: Exception) -> str:
    architecture = name.rpartition("/")[0] or name
    return (
        f"the weights of {name!r} are here, but its tokenizer is not ({error}). It comes from the hub through the "
        "package transformers: install that, and connect once so that the files are cached. Without it, images and "
        f"directions still work: lw.wrap(open_clip.create_model({architecture!r}, ...).eval())"
    )


def _offline(source: str, name: str, error: Exception) -> str:
    return (
        f"the weights of {name!r} could not be fetched ({error}). Without network pass a local file: "
        f"lw.load({f'{source}:{name}'!r}, checkpoint='weights.safetensors'), or use lw.load('builtin')"
    )
