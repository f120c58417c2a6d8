"""open_clip: ``CLIP`` with the native ``VisionTransformer``: class-token or average pooling, either norm order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .attention import Attention
from .block import Block
from .live import Affine, layer_scale
from .mlp import Mlp
from .position import resampled
from .preprocess import Preprocess
from .readout import Readout
from .view import UnsupportedModel, ViT


def matches(module: nn.Module) -> bool:
    """Whether this is an open_clip CLIP, or its bare native vision tower."""
    tower = getattr(module, "visual", module)
    return all(hasattr(tower, name) for name in ("conv1", "class_embedding", "transformer", "ln_post", "proj"))


def build(module: Any, name: str | None = None) -> ViT:
    """The view of an ``open_clip.CLIP`` or ``open_clip.transformer.VisionTransformer``.

    Raises:
        UnsupportedModel: attentional pooling or another block than the default one.
    """
    tower = getattr(module, "visual", module)
    if tower.attn_pool is not None:
        raise UnsupportedModel(
            "this open_clip tower reads its tokens through an attention pooler (CoCa), which is not supported yet; "
            "use a CLIP with class-token or average pooling, e.g. 'open_clip:ViT-B-16/laion2b_s34b_b88k'"
        )
    if tower.pool_type not in ("tok", "avg"):
        raise UnsupportedModel(f"this open_clip tower pools with {tower.pool_type!r}; 'tok' and 'avg' are supported")
    if tower.conv1.in_channels != 3:
        raise UnsupportedModel(f"this open_clip tower reads {tower.conv1.in_channels} channels; RGB is supported")
    outer = "visual.transformer" if hasattr(module, "visual") else "transformer"
    identity = nn.Identity()
    norm, post_norm = (identity, tower.ln_post) if tower.final_ln_after_pool else (tower.ln_post, identity)
    by_token = tower.pool_type == "tok"
    rows = slice(0, 1) if by_token else slice(1, None)
    projection = None if tower.proj is None else Affine(tower, "proj", "", transposed=True)
    return ViT(
        name=name or f"open_clip {type(module).__name__}",
        module=module,
        blocks=tuple(_block(b, f"{outer}.resblocks.{i}") for i, b in enumerate(tower.transformer.resblocks)),
        readout=Readout("cls" if by_token else "mean", rows, norm, post_norm, projection),
        prefix=1,
        has_cls=True,
        grid=(int(tower.grid_size[0]), int(tower.grid_size[1])),
        patch=(int(tower.patch_size[0]), int(tower.patch_size[1])),
        features=tower.conv1.out_channels if tower.proj is None else tower.proj.shape[1],
        native=lambda images, grid: _native(tower, images, grid),
        batch_first=getattr(tower.transformer, "batch_first", True),
    )


def preprocess(module: Any) -> Preprocess:
    """Mean, std and resampling from the model's own configuration; open_clip's defaults where it has none."""
    config = getattr(getattr(module, "visual", module), "preprocess_cfg", None) or {}
    default = Preprocess()
    mean, std = config.get("mean") or default.mean, config.get("std") or default.std
    return Preprocess(tuple(mean), tuple(std), config.get("interpolation") or default.interpolation)


def _native(tower: Any, images: Tensor, grid: tuple[int, int]) -> Tensor:
    own = (int(tower.grid_size[0]), int(tower.grid_size[1]))
    if grid == own:
        output = tower(images)
    else:
        position = resampled(tower.positional_embedding.detach(), own, grid, prefix=1)
        output = torch.func.functional_call(tower, {"positional_embedding": position}, (images,))
    return output[0] if isinstance(output, tuple) else output


def _block(block: Any, name: str) -> Block:
    attention = block.attn
    parts = ("ln_1", "ln_2", "ls_1", "ls_2", "mlp")
    if not isinstance(attention, nn.MultiheadAttention) or not all(hasattr(block, p) for p in parts):
        raise UnsupportedModel(
            f"{name} is a {type(block).__name__} with {type(attention).__name__}; open_clip's default block with "
            "nn.MultiheadAttention is supported"
        )
    if attention.in_proj_weight is None or attention.bias_k is not None or attention.add_zero_attn:
        raise UnsupportedModel(
            f"{name} has separate key/value widths or extra keys in its attention, which is not supported"
        )
    width = attention.embed_dim
    query, key, value = (
        Affine(attention, "in_proj_weight", "in_proj_bias", slice(i * width, (i + 1) * width)) for i in range(3)
    )
    return Block(
        name=name,
        module=block,
        norm1=block.ln_1,
        attention=Attention(
            attention.num_heads, query, key, value, Affine(attention.out_proj), (width // attention.num_heads) ** -0.5
        ),
        norm2=block.ln_2,
        mlp=_mlp(block.mlp, name),
        gamma1=layer_scale(block.ls_1),
        gamma2=layer_scale(block.ls_2),
        middle_at=block.ln_2,
    )


def _mlp(mlp: Any, name: str) -> Mlp:
    if [n for n, _ in mlp.named_children()] != ["c_fc", "gelu", "c_proj"]:
        raise UnsupportedModel(f"{name} has an MLP that is not linear, activation, linear: {mlp}")
    return Mlp(Affine(mlp.c_fc), mlp.gelu.forward, Affine(mlp.c_proj))
