"""Any library model's own forward in float64 with every attention matrix on the graph; nothing of ours.

The fused attention call is replaced for one forward by softmax written out, so that whatever the model does around it
(rotary positions, biases, norms, gates, poolers, its tail) is the library's own code.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Recording:
    """One forward. All with the batch dimension 1 removed and on one graph.

    ``attention[k]`` [H, R, N] the k-th attention matrix in the order of the forward (blocks, then a pooler's),
    ``values`` [H, N, e] and ``heads`` O = A V [H, R, e] likewise; ``before[l]`` and ``after[l]`` [N, D] the input and
    output of block l (0-based); ``output`` features or logits.
    """

    model: nn.Module
    attention: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    heads: list[Tensor] = field(default_factory=list)
    before: list[Tensor] = field(default_factory=list)
    after: list[Tensor] = field(default_factory=list)
    output: Tensor = field(default_factory=lambda: torch.zeros(0))


def blocks_of(tower: nn.Module) -> nn.ModuleList:
    """The sequence of blocks of an open_clip or timm tower."""
    for path in (
        "visual.transformer.resblocks",
        "transformer.resblocks",
        "visual.trunk.blocks",
        "trunk.blocks",
        "blocks",
    ):
        node: Any = tower
        for name in path.split("."):
            node = getattr(node, name, None)
        if node is not None:
            return node
    raise AssertionError(f"no blocks in {type(tower).__name__}")


def record(model: nn.Module, image: Tensor, *, keep: Tensor | None = None, layer: int = 1) -> Recording:
    """Run a float64 copy of ``model`` on ``image`` [3, H, W]; ``keep`` [N] bool masks keys of every attention from the
    1-based block ``layer`` on."""
    model = copy.deepcopy(model).double().eval()
    tower = getattr(model, "visual", model)
    made = Recording(model)
    sequence_first = getattr(getattr(tower, "transformer", None), "batch_first", True) is False
    handles = []
    for block in blocks_of(tower):
        handles.append(block.register_forward_pre_hook(_input(made, sequence_first)))
        handles.append(block.register_forward_hook(_output(made, sequence_first)))
    with explicit_attention(made, keep, layer), torch.enable_grad():
        made.output = tower(image.double()[None].requires_grad_())
    for handle in handles:
        handle.remove()
    if isinstance(made.output, tuple):
        made.output = made.output[0]
    made.output = made.output[0]
    return made


@contextmanager
def explicit_attention(made: Recording, keep: Tensor | None = None, layer: int = 1) -> Iterator[None]:
    """``F.scaled_dot_product_attention`` written out, and every matrix recorded."""

    def attend(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        if attn_mask is not None:
            logits = logits + attn_mask if attn_mask.is_floating_point() else logits.masked_fill(~attn_mask, -torch.inf)
        if keep is not None and len(made.attention) >= layer - 1:
            logits = logits.masked_fill(~keep[-logits.shape[-1] :], -torch.inf)
        batch = q.shape[0]
        a, v = torch.softmax(logits, -1).flatten(0, -3), v.flatten(0, -3)  # [batch of one and heads together, ...]
        o = a @ v  # from what is recorded, or no gradient would reach it
        made.attention.append(a)
        made.values.append(v)
        made.heads.append(o)
        return o.unflatten(0, (batch, -1)) if q.ndim == 4 else o

    with mock.patch.object(F, "scaled_dot_product_attention", attend):
        yield


def _input(made: Recording, sequence_first: bool) -> Any:
    def hook(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens = args[0][:, 0] if sequence_first else args[0][0]
        made.before.append(tokens)
        back = tokens[:, None] if sequence_first else tokens[None]  # the block reads what was recorded
        return (back, *args[1:])

    return hook


def _output(made: Recording, sequence_first: bool) -> Any:
    def hook(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
        made.after.append(output[:, 0] if sequence_first else output[0])

    return hook


def tail(model: nn.Module, z: Tensor) -> Tensor:
    """The library's own final norm, pooling and head on the tokens z [N, D] of any block: features or logits."""
    tower = getattr(model, "visual", model)
    if hasattr(tower, "proj"):  # open_clip's VisionTransformer
        pooled = tower._pool(z[None])[0]
        return (pooled if tower.proj is None else pooled @ tower.proj)[0]
    trunk = getattr(tower, "trunk", tower)
    head = getattr(tower, "head", nn.Identity()) if trunk is not tower else nn.Identity()
    return head(trunk.forward_head(trunk.norm(z[None])))[0]
