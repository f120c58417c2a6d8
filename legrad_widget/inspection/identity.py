"""What makes two pictures the same picture, and two models the same model: digests of all that an answer depends on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..explainer import Model


def digest(*parts: Any) -> bytes:
    """16 bytes that tell these values from all others: numbers, strings, bytes, arrays and tensors, in order."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        head, body = _flat(part)
        made.update(f"{head}:{len(body)};".encode())
        made.update(body)
    return made.digest()


def _flat(part: Any) -> tuple[str, Any]:
    if isinstance(part, bytes):
        return "bytes", part
    if isinstance(part, Tensor):
        values = part.detach().cpu().contiguous()
        return f"tensor{values.dtype}{tuple(values.shape)}", values.view(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(part, np.ndarray):
        return f"array{part.dtype}{part.shape}", np.ascontiguousarray(part).tobytes()
    return type(part).__name__, repr(part).encode()


def digest_of_picture(image: Any) -> bytes:
    """The digest of what a picture shows: the bytes of a file, the pixels of anything else.

    Raises:
        OSError: a file cannot be read. TypeError: no picture.
    """
    if not isinstance(image, Image.Image) and isinstance(getattr(image, "image", None), Image.Image):
        image = image.image
    if isinstance(image, str | os.PathLike):
        return digest(Path(image).expanduser().read_bytes())
    if isinstance(image, bytes | bytearray | memoryview):
        return digest(bytes(image))
    if isinstance(image, Image.Image):
        image.load()  # a file that was only opened does not know all of this yet
        orientation, palette = image.getexif().get(0x0112, 1), image.getpalette(None) if image.palette else None
        transparency = image.info.get("transparency")
        return digest(image.mode, image.size, orientation, transparency, palette, image.tobytes())
    if isinstance(image, np.ndarray | Tensor):
        return digest(image)
    raise TypeError(f"this is no picture but {type(image).__name__}")


def digest_of_model(model: Model, vectors: Tensor) -> bytes:
    """The digest of a model that chooses among classes: its architecture, weights, classes, how it sees pictures."""
    weights = [digest(name, value) for name, value in sorted(model.module.state_dict().items()) if _is_tensor(value)]
    return digest(
        b"".join(architecture(model.module)), b"".join(weights), vectors, bias_of(model),
        model.logit_form(), model.preprocess,
    )  # fmt: skip


def bias_of(model: Model) -> Tensor | None:
    """[C] a classifier's biases: a head of the caller's own is no part of the module."""
    return None if model.vit.classes is None else model.vit.classes()[1]


def architecture(module: nn.Module) -> Iterator[bytes]:
    """One digest per part of a module: its class and its plain settings, such as heads, pooling and epsilons.

    The same weights in another architecture are another model: 12 heads as 6, the class token's answer as the mean's.
    """
    for name, part in module.named_modules():
        kind, settings = type(part), sorted(vars(part).items())
        plain = [(key, _setting(value)) for key, value in settings if key[0] != "_" and key != "training"]
        yield digest(name, f"{kind.__module__}.{kind.__qualname__}", plain, *_written_here(kind))


def _written_here(kind: type[nn.Module]) -> tuple[bytes, str]:
    """What a class of the notebook itself does: its cell may be changed and run again."""
    code = getattr(kind.forward, "__code__", None)
    if kind.__module__ != "__main__" or code is None:
        return b"", ""
    return code.co_code, _setting((*code.co_names, *code.co_consts))


def _setting(value: Any) -> str:
    """A setting in words that are the same in every run; of what is no plain value only its kind."""
    if isinstance(value, partial):
        return f"{_setting(value.func)}{_setting(value.args)}{_setting(tuple(sorted(value.keywords.items())))}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_setting, value))})"
    if isinstance(value, str | bytes | bool | int | float | torch.dtype | None):
        return repr(value)
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)
