"""open_clip's blocks, attention classes and attention pooler, read by their attributes.

Which attention class a version uses differs: ``nn.MultiheadAttention``, or open_clip's own ``Attention`` with q- and
k-norm, head scales, an inner norm or scaled cosine. What counts is what it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention
from .block import Block
from .live import Affine, apply, layer_scale
from .mlp import Mlp
from .readout import Pooler
from .view import UnsupportedModel


def read_block(block: Any, name: str) -> Block:
    """A default or custom residual attention block.

    Raises:
        UnsupportedModel: parts that are not a pre-norm block's.
    """
    parts = ("ln_1", "ln_2", "ls_1", "ls_2", "mlp", "attn")
    if missing := [part for part in parts if not hasattr(block, part)]:
        raise UnsupportedModel(
            f"{name} is a {type(block).__name__} without {', '.join(missing)}; open_clip's pre-norm blocks are "
            "supported"
        )
    return Block(
        name=name,
        module=block,
        norm1=block.ln_1,
        attention=_attention(block.attn, name),
        norm2=block.ln_2,
        mlp=_mlp(block.mlp, name),
        gamma1=layer_scale(block.ls_1),
        gamma2=layer_scale(block.ls_2),
        after1=getattr(block, "ln_attn", nn.Identity()),
        middle_at=block.ln_2,
    )


def read_pooler(pooler: Any, name: str) -> Pooler:
    """An ``AttentionalPooler`` of which the first query is read; its ``ln_k`` is part of the readout's norm.

    Raises:
        UnsupportedModel: an attention that does more than queries, keys, values and an output projection.
    """
    attention = pooler.attn
    if any(_present(attention, part) for part in ("head_scale", "ln_inner", "logit_scale", "ln_q", "ln_k")):
        raise UnsupportedModel(f"the attention of {name} has norms or scales of its own, which is not supported")
    query, key, value = _projections(attention, name)
    heads = attention.num_heads

    def first_query() -> Tensor:
        q = query(apply(pooler.ln_q, pooler.query[:1].detach().to(query.weight.dtype)))[0].unflatten(-1, (heads, -1))
        return q * q.shape[-1] ** -0.5

    identity = nn.Identity()
    return Pooler(heads, first_query, key, value, Affine(attention.out_proj), identity, identity, own_norm=pooler.ln_k)


def _attention(attention: Any, name: str) -> Attention:
    query, key, value = _projections(attention, name)
    heads = attention.num_heads
    cosine = _present(attention, "logit_scale")
    norms = [_Unit(), _Unit()] if cosine else [getattr(attention, part, nn.Identity()) for part in ("ln_q", "ln_k")]
    scale = (attention.out_proj.in_features // heads) ** -0.5
    return Attention(
        heads, query, key, value, Affine(attention.out_proj), _cosine_scale(attention) if cosine else scale,
        query_norm=norms[0], key_norm=norms[1], inner=_inner(attention),
    )  # fmt: skip


def _projections(attention: Any, name: str) -> tuple[Affine, Affine, Affine]:
    """Query, key and value maps, from one packed weight or three; the bias is packed in both cases."""
    if not all(hasattr(attention, part) for part in ("num_heads", "out_proj")):
        raise UnsupportedModel(f"the attention of {name} is a {type(attention).__name__}, which is not supported")
    if getattr(attention, "bias_k", None) is not None or getattr(attention, "add_zero_attn", False):
        raise UnsupportedModel(f"{name} has extra keys in its attention, which is not supported")
    width = attention.out_proj.in_features
    thirds = [slice(i * width, (i + 1) * width) for i in range(3)]
    if getattr(attention, "in_proj_weight", None) is not None:
        query, key, value = (Affine(attention, "in_proj_weight", "in_proj_bias", rows) for rows in thirds)
        return query, key, value
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    if not all(_present(attention, part) for part in names):
        raise UnsupportedModel(f"the attention of {name} has neither in_proj_weight nor {', '.join(names)}")
    query, key, value = (
        Affine(attention, part, "in_proj_bias", bias_rows=rows) for part, rows in zip(names, thirds, strict=True)
    )
    return query, key, value


def _inner(attention: Any) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Head scale, then norm, between the heads and the output projection; None where there is neither."""
    scaled, normed = (_present(attention, part) for part in ("head_scale", "ln_inner"))
    if not scaled and not normed:
        return None

    def inner(o: Tensor, _t: Tensor) -> Tensor:
        if scaled:
            scale = attention.head_scale.detach().to(o.dtype).flatten()
            o = (o.unflatten(-1, (len(scale), -1)) * scale[:, None]).flatten(-2)
        return apply(attention.ln_inner, o) if normed else o

    return inner


def _cosine_scale(attention: Any) -> Callable[[], Tensor]:
    return lambda: attention.logit_scale.detach().clamp(max=attention.logit_scale_max).exp()


class _Unit(nn.Module):
    """Vectors of length one: scaled cosine attention compares directions."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1)


def _present(module: Any, name: str) -> bool:
    part = getattr(module, name, None)
    return part is not None and not isinstance(part, nn.Identity)


def _mlp(mlp: Any, name: str) -> Mlp:
    if [n for n, _ in mlp.named_children() if n != "ln"] != ["c_fc", "gelu", "c_proj"]:
        raise UnsupportedModel(f"{name} has an MLP that is not linear, activation, linear: {mlp}")
    return Mlp(Affine(mlp.c_fc), mlp.gelu.forward, Affine(mlp.c_proj), getattr(mlp, "ln", nn.Identity()))
