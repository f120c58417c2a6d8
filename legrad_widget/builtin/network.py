"""The built-in network: its configuration, its first weights, and a forward that training can afford.

The network is a stock `open_clip.CLIP`. Training calls the same parameters through a leaner forward, because it needs
patch embeddings beside the class token and may drop patches; the exported model is run by open_clip's own code.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from .tokens import CONTEXT_LENGTH, tokenizer

PIXELS, PATCH, WIDTH, LAYERS, HEAD_WIDTH = 64, 8, 128, 6, 32
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def configuration(pixels: int = PIXELS) -> dict[str, Any]:
    """Return the keyword arguments of `open_clip.CLIP`."""
    vision = dict(image_size=pixels, patch_size=PATCH, width=WIDTH, layers=LAYERS, head_width=HEAD_WIDTH, mlp_ratio=4.0)
    text = dict(context_length=CONTEXT_LENGTH, vocab_size=tokenizer().vocab_size, width=WIDTH, heads=4, layers=2)
    return dict(embed_dim=WIDTH, vision_cfg=vision, text_cfg=text, init_logit_scale=math.log(10), init_logit_bias=-6.0)


def new_network(pixels: int = PIXELS, seed: int = 0) -> open_clip.CLIP:
    """Return a freshly initialised network."""
    model = open_clip.CLIP(**configuration(pixels))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            std = _spread(name, parameter)
            if std is not None:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
    return model


def _spread(name: str, parameter: Tensor) -> float | None:
    """Return the standard deviation of a parameter's first values; None for those that start as open_clip sets them."""
    if "resblocks" in name and parameter.ndim == 2:
        last = name.endswith(("out_proj.weight", "c_proj.weight"))  # what is added to the residual stream
        return 0.03 * (math.sqrt(2 / LAYERS) if last else 1.0)
    if name.endswith("bias") and "logit" not in name and "ln_" not in name:
        return 0.0
    fixed = {"token_embedding.weight": 0.1, "positional_embedding": 0.01, "visual.conv1.weight": 0.04}
    if name in fixed:
        return fixed[name]
    return None if "ln_" in name or "logit" in name else WIDTH**-0.5


def resized(weights: dict[str, Tensor], pixels: int) -> dict[str, Tensor]:
    """Return weights whose position embedding fits images of another size."""
    name = "visual.positional_embedding"
    table, grid = weights[name], pixels // PATCH
    before = math.isqrt(len(table) - 1)
    if before == grid:
        return weights
    patches = table[1:].T.reshape(1, -1, before, before).float()
    patches = F.interpolate(patches, size=(grid, grid), mode="bicubic", antialias=True, align_corners=False)
    return {**weights, name: torch.cat([table[:1], patches.flatten(2)[0].T])}


def _attend(block: Any, x: Tensor, causal: bool) -> Tensor:
    attention = block.attn
    batch, count, width = x.shape
    heads = attention.num_heads
    packed = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = packed.view(batch, count, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    return attention.out_proj(mixed.transpose(1, 2).reshape(batch, count, width))


def _blocks(transformer: Any, x: Tensor, *, causal: bool = False, skipped: Collection[int] = ()) -> Tensor:
    for index, block in enumerate(transformer.resblocks):
        if index in skipped:
            continue
        x = x + _attend(block, x, causal)
        x = x + block.mlp(block.ln_2(x))
    return x


def image_embeddings(
    model: open_clip.CLIP, images: Tensor, kept: Tensor | None = None, skipped: Collection[int] = ()
) -> Tensor:
    """Return embeddings `[B, 1 + patches, E]` of the class token and of every patch, not normalised.

    Args:
        images: `[B, 3, n, n]`.
        kept: `[B, k]` indices of the patches to look at (default: all).
        skipped: indices of the blocks to leave out (default: none).
    """
    tower = model.visual
    x = tower.conv1(images).flatten(2).transpose(1, 2) + tower.positional_embedding[1:]
    if kept is not None:
        x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))
    first = (tower.class_embedding + tower.positional_embedding[0]).expand(len(x), 1, -1)
    x = _blocks(tower.transformer, tower.ln_pre(torch.cat([first, x], 1)), skipped=skipped)
    return tower.ln_post(x) @ tower.proj


def text_embeddings(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """Return embeddings `[P, E]` of tokenised prompts `[P, context]`, not normalised."""
    last = tokens.argmax(-1)
    tokens = tokens[:, : int(last.max()) + 1]
    x = model.token_embedding(tokens) + model.positional_embedding[: tokens.shape[1]]
    x = model.ln_final(_blocks(model.transformer, x, causal=True))
    return x[torch.arange(len(x), device=x.device), last] @ model.text_projection
