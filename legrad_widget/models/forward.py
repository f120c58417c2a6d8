"""The model on other inputs than the captured one: changed pictures natively, removed tokens and edited heads replayed.

Axis letters: M variants of one image, N tokens, E feature width, H heads, e head width.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .block import Block
from .capture import Tokens, evaluation_mode, lock_of, plain_arithmetic
from .live import apply, precise
from .view import UnsupportedModel, ViT

Tick = Callable[[int, int], None]
HeadEdit = Callable[[Tensor], Tensor]  # O [..., H, N, e] -> O
_CHUNK = {"cpu": 1 << 23, "cuda": 1 << 27}  # numbers that the attention of one batch may need (32 and 512 MiB)


def batch_size(vit: ViT, grid: tuple[int, int]) -> int:
    """How many variants of one image go through the model at a time."""
    count = vit.prefix + grid[0] * grid[1]
    numbers = vit.heads * count**2 + 8 * count * vit.blocks[0].attention.value.weight.shape[-1]
    return max(1, _CHUNK.get(vit.device.type, _CHUNK["cpu"]) // numbers)


def features_of_pictures(vit: ViT, images: Tensor) -> Tensor:
    """Features [M, E] of the preprocessed images [M, 3, Hin, Win], by the model's own forward, together.

    Cost: M native forwards. A hook on the last block lives for this call alone; nothing else of the model is touched.

    Raises:
        UnsupportedModel: numbers are not finite.
    """
    grid = (images.shape[-2] // vit.patch[0], images.shape[-1] // vit.patch[1])
    seen: list[Tensor] = []
    thread = threading.get_ident()

    def watch(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
        if threading.get_ident() == thread:
            seen.append(output)

    with lock_of(vit), evaluation_mode(vit.module), plain_arithmetic(vit.device):
        handle = vit.blocks[-1].module.register_forward_hook(watch)
        try:
            vit.native(images.to(vit.device, vit.dtype), grid)
        finally:
            handle.remove()
        features = vit.readout(precise(seen[0] if vit.batch_first else seen[0].transpose(0, 1)))
    return _finite(vit, features)


def features_of_tokens(
    tokens: Tokens,
    *,
    keep: Tensor | None = None,
    from_layer: int = 1,
    edits: Mapping[int, HeadEdit] | None = None,
    tick: Tick = lambda _step, _total: None,
) -> Tensor:
    """Features [M, E] (or [E]) of the captured image without some tokens, or with other attention heads.

    The blocks are replayed from the lowest that changes. In the last one only the tokens that are read are computed.

    Args:
        tokens: of the image.
        keep: [M, N] bool, True where a token stays. A token whose key is masked in every block and in the readout might
            as well not be there; it leaves after the position embedding, and all others keep their positions. An
            average, or an attention pooler, goes over those that stay.
        from_layer: the 1-based block from which on ``keep`` holds, and in the readout; before it all is as captured.
        edits: 1-based layer -> what becomes of its heads' O before ``inner`` and the output projection; an edit may add
            a leading axis M.
        tick: called with (block, blocks) before each block; raises to cancel.

    Raises:
        UnsupportedModel: numbers are not finite.
    """
    edits = edits or {}
    first = min([*edits, *([] if keep is None else [from_layer])], default=1)
    total = tokens.depth - first + 1
    with plain_arithmetic(tokens.vit.device):
        z = tokens.before(first)
        for step, layer in enumerate(range(first, tokens.depth)):
            tick(step, total)
            block, kept = tokens.block(layer), keep if layer >= from_layer else None
            z = _edited(block, z, kept, edits[layer]) if layer in edits else block(z, keep=kept)
        tick(total - 1, total)
        return _finite(tokens.vit, _read(tokens, z, keep, edits.get(tokens.depth)))


def layer_features_of_tokens(tokens: Tokens, keep: Tensor, from_layer: int = 1) -> Tensor:
    """Features [L, E] by the readout after every block of the captured image without some tokens.

    Args:
        tokens: of the image. keep: [N] bool, ``from_layer``: as in :func:`features_of_tokens`; what the blocks before
            say is said by all tokens.

    Cost: L - from_layer + 1 blocks and L readouts.

    Raises:
        UnsupportedModel: numbers are not finite.
    """
    readout, features = tokens.vit.readout, []
    with plain_arithmetic(tokens.vit.device):
        z = tokens.before(from_layer)
        for layer in range(1, tokens.depth + 1):
            if layer < from_layer:
                features.append(readout(tokens.after(layer)))
            else:
                z = tokens.block(layer)(z, keep=keep)
                features.append(readout(z, keep=keep))
        return _finite(tokens.vit, torch.stack(features))


def _edited(block: Block, z: Tensor, keep: Tensor | None, edit: HeadEdit) -> Tensor:
    t = block.normed(z)
    o = edit(block.attention.rows(t, keep=keep) @ block.attention.values(t))
    return block.finish(z + block.rejoin(o, t), z)


def _read(tokens: Tokens, z: Tensor, keep: Tensor | None, edit: HeadEdit | None) -> Tensor:
    """Features from the last block's input."""
    block, readout = tokens.block(tokens.depth), tokens.vit.readout
    if edit is not None:
        return readout(_edited(block, z, keep, edit), keep=keep)
    rows = readout.rows
    y = z[..., rows, :] + block.attend(block.normed(z), rows, keep=keep)
    read = apply(readout.norm, block.finish(y, z[..., rows, :]))
    return readout.tail(readout.pool(read, keep=None if keep is None else keep[..., rows]))


def _finite(vit: ViT, features: Tensor) -> Tensor:
    if not torch.isfinite(features).all():
        raise UnsupportedModel(
            f"{vit.name} gives NaN or inf on the changed image: its weights are damaged, or {vit.dtype} overflows. "
            "Load the weights again, or use dtype=torch.float32"
        )
    return features
