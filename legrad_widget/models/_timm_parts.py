"""The layers that timm's families share, read into our parts: blocks, attention, MLPs, attention pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .attention import Attention, Place
from .block import Block
from .live import Affine, apply, layer_scale, precise
from .mlp import Gated, Mlp
from .readout import Pooler
from .view import UnsupportedModel

Locate = Callable[[Mapping[str, Any]], Place]
_WHY_NOT = {
    "attns": "runs several attentions side by side, so that no single map tells what it attends to",
    "sub_norm": "subtracts two attention maps (differential attention), so that its rows are no shares",
}


def block(module: Any, name: str, locate: Locate | None = None) -> Block:
    """A block of timm's: pre-norm, post-norm, or attention and MLP side by side.

    Raises:
        UnsupportedModel: a block, an attention or an MLP that the closed forms do not cover; named, with the reason.
    """
    for part, why in _WHY_NOT.items():
        if hasattr(module, part) or hasattr(getattr(module, "attn", None), part):
            raise UnsupportedModel(f"{name} ({type(module).__name__}) {why}; this block is not supported")
    if all(hasattr(module, part) for part in ("in_norm", "in_proj", "in_split", "mlp_act", "ls")):
        return _side_by_side(module, name)
    if not all(hasattr(module, part) for part in ("norm1", "norm2", "attn", "mlp")):
        raise UnsupportedModel(
            f"{name} is a {type(module).__name__}; blocks of attention and MLP, with a norm each, are supported"
        )
    attending, mixing = attention(module.attn, name, locate), feedforward(module.mlp, name)
    if not hasattr(module, "ls1") and not hasattr(module, "gamma_1"):  # timm's post-norm blocks have no LayerScale
        none = nn.Identity()
        return Block(
            name, module, none, attending, none, mixing, after1=module.norm1, after2=module.norm2, middle_at=module.mlp
        )
    gamma1, gamma2 = (_gamma(module, number) for number in (1, 2))
    return Block(name, module, module.norm1, attending, module.norm2, mixing, gamma1, gamma2, middle_at=module.norm2)


def attention(module: Any, name: str, locate: Locate | None = None) -> Attention:
    """Multi-head attention with packed or separate projections, q/k norms, an inner norm, a gate, grouped keys."""
    if _linear(module, "qkv"):
        query, key, value = _packed(module)
    elif _linear(module, "q_proj", "k_proj", "v_proj"):
        query, key, value = (Affine(getattr(module, part)) for part in ("q_proj", "k_proj", "v_proj"))
    else:
        raise UnsupportedModel(
            f"the attention of {name} is a {type(module).__name__}; one with linear query, key and value projections "
            "is supported"
        )
    return Attention(
        heads=module.num_heads,
        query=query,
        key=key,
        value=value,
        out=Affine(module.proj),
        scale=module.scale,
        query_norm=getattr(module, "q_norm", nn.Identity()),
        key_norm=getattr(module, "k_norm", nn.Identity()),
        groups=getattr(module, "num_kv_groups", 1),
        inner=_inner(getattr(module, "norm", nn.Identity()), getattr(module, "gate", None)),
        locate=locate,
    )


def _packed(module: Any) -> tuple[Affine, Affine, Affine]:
    """Query, key and value of one weight; their biases lie in the same layer, or beside it (Eva, BEiT)."""
    width = module.qkv.out_features // 3
    thirds = [slice(i * width, (i + 1) * width) for i in range(3)]
    if getattr(module, "q_bias", None) is None:
        query, key, value = (Affine(module.qkv, rows=third) for third in thirds)
    else:
        query, key, value = (
            Affine(module.qkv, bias_name=bias, rows=third, bias_of=module)
            for bias, third in zip(("q_bias", "k_bias", "v_bias"), thirds, strict=True)
        )
    return query, key, value


def _inner(norm: nn.Module, gate: nn.Module | None) -> Callable[[Tensor, Tensor], Tensor] | None:
    if gate is None:
        return None if isinstance(norm, nn.Identity) else lambda heads, _: apply(norm, heads)
    opening = Affine(gate)
    return lambda heads, t: apply(norm, heads) * opening(t).sigmoid()


def _gamma(module: Any, number: int) -> Affine | None:
    """LayerScale of the first or second half: a module of its own, or a parameter of the block that may be None."""
    if hasattr(module, f"ls{number}"):
        return layer_scale(getattr(module, f"ls{number}"))
    return None if getattr(module, f"gamma_{number}") is None else Affine(module, f"gamma_{number}", "")


def _side_by_side(module: Any, name: str) -> Block:
    """``ParallelScalingBlock``: one projection in for the MLP and the attention, one or two out; no module sees Y."""
    hidden, width, *_ = module.in_split
    query, key, value = (
        Affine(module.in_proj, rows=slice(hidden + i * width, hidden + (i + 1) * width)) for i in range(3)
    )
    fc1 = Affine(module.in_proj, rows=slice(0, hidden))
    if module.mlp_bias is not None:
        fc1 = replace(fc1, bias_name="mlp_bias", bias_of=module)
    if getattr(module, "out_proj", None) is not None:  # the bias of the one layer is counted with the attention
        out = Affine(module.out_proj, columns=slice(0, width))
        fc2 = Affine(module.out_proj, bias_name="", columns=slice(width, None))
    else:
        out, fc2 = Affine(module.attn_out_proj), Affine(module.mlp_out_proj)
    gamma = layer_scale(module.ls)
    return Block(
        name=name,
        module=module,
        norm1=module.in_norm,
        attention=Attention(
            module.num_heads, query, key, value, out, module.scale, query_norm=module.q_norm, key_norm=module.k_norm
        ),
        norm2=module.in_norm,
        mlp=Mlp(fc1, module.mlp_act.forward, fc2),
        gamma1=gamma,
        gamma2=gamma,
        parallel=True,
    )


def feedforward(module: Any, name: str) -> Mlp | Gated:
    """timm's ``Mlp``, ``GluMlp`` (gate and value in one layer) or ``SwiGLU`` (in two), with or without a norm."""
    norm = getattr(module, "norm", nn.Identity())
    if _linear(module, "fc1_g", "fc1_x", "fc2"):
        return Gated(Affine(module.fc1_g), Affine(module.fc1_x), module.act.forward, Affine(module.fc2), norm)
    if not hasattr(module, "gate_last") or not _linear(module, "fc1", "fc2"):
        return mlp(module, name)
    half = module.fc1.out_features // 2
    first, second = Affine(module.fc1, rows=slice(0, half)), Affine(module.fc1, rows=slice(half, None))
    gate, up = (second, first) if module.gate_last else (first, second)
    return Gated(gate, up, module.act.forward, Affine(module.fc2), norm)


def mlp(module: Any, name: str) -> Mlp:
    """timm's ``Mlp``: linear, activation, norm or none, linear."""
    if not _linear(module, "fc1", "fc2") or not hasattr(module, "act") or hasattr(module, "gate_last"):
        raise UnsupportedModel(
            f"{name} has a {type(module).__name__}; an MLP of linear, activation, linear is supported"
        )
    return Mlp(Affine(module.fc1), module.act.forward, Affine(module.fc2), getattr(module, "norm", nn.Identity()))


def _linear(module: Any, *parts: str) -> bool:
    return all(isinstance(getattr(module, part, None), nn.Linear) for part in parts)


def pooler(module: Any) -> Pooler:
    """timm's ``AttentionPoolLatent``, of whose queries the first is read.

    Raises:
        UnsupportedModel: another attention pooling, or one that adds positions of its own to the tokens.
    """
    if not all(hasattr(module, part) for part in ("latent", "q", "kv", "q_norm", "k_norm", "proj", "norm", "mlp")):
        raise UnsupportedModel(
            f"this timm model pools with {type(module).__name__}; a learned query (AttentionPoolLatent) is supported"
        )
    if module.pos_embed is not None:
        raise UnsupportedModel("this timm model's pooler adds positions of its own to the tokens; not supported")
    if module.pool != "token" and not (module.pool == "avg" and module.latent_len == 1):
        raise UnsupportedModel(
            f"this timm model's pooler merges its {module.latent_len} queries by {module.pool!r}; 'token' is supported"
        )
    last = None if module.mlp is None else mlp(module.mlp, "the attention pooler")
    if isinstance(last, Gated):
        raise UnsupportedModel(
            "this timm model's pooler has a gated MLP; one of linear, activation, linear is supported"
        )
    heads, width = module.num_heads, module.kv.in_features
    return Pooler(
        heads=heads,
        query=lambda: _query(module),
        key=Affine(module.kv, rows=slice(0, width)),
        value=Affine(module.kv, rows=slice(width, None)),
        out=Affine(module.proj) if isinstance(module.proj, nn.Linear) else None,
        key_norm=module.k_norm,
        norm=module.norm,
        mlp=None if module.mlp is None else mlp(module.mlp, "the attention pooler"),
    )


def _query(module: Any) -> Tensor:
    """[H, e]: the pooler's first latent, projected, normed and scaled."""
    latent = precise(module.latent.detach()[0, 0])
    query = Affine(module.q)(latent) if isinstance(module.q, nn.Linear) else latent
    with torch.no_grad():
        return apply(module.q_norm, query.unflatten(-1, (module.num_heads, -1))) * module.scale
