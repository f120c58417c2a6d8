"""The layers that timm's families share, read into our parts: attention pooling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .live import Affine, apply, precise
from .mlp import Mlp
from .readout import Pooler
from .view import UnsupportedModel


def mlp(module: Any, name: str) -> Mlp:
    """timm's ``Mlp``."""
    plain = all(isinstance(getattr(module, part, None), nn.Linear) for part in ("fc1", "fc2")) and hasattr(
        module, "act"
    )
    if not plain or hasattr(module, "gate_last") or module.fc1.out_features != module.fc2.in_features:
        raise UnsupportedModel(
            f"{name} has a {type(module).__name__}; an MLP of linear, activation, linear is supported"
        )
    if not isinstance(getattr(module, "norm", nn.Identity()), nn.Identity):
        raise UnsupportedModel(f"{name} has a norm inside its MLP, which is not supported yet")
    return Mlp(Affine(module.fc1), module.act.forward, Affine(module.fc2))


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
    with torch.no_grad():
        query = apply(module.q, latent).unflatten(-1, (module.num_heads, -1))
        return apply(module.q_norm, query) * module.scale
