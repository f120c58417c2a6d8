"""A vision tower run by hand in float64, every attention matrix explicit, on the libraries' own modules."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Run:
    """A[l] [H, N, N] on the graph of Z[l + 1]; Z[l] [N, D] with Z[0] the input of the first block."""

    tower: nn.Module
    attention: list[Tensor]
    tokens: list[Tensor]
    grid: tuple[int, int]
    prefix: int

    @property
    def is_clip(self) -> bool:
        return hasattr(self.tower, "ln_post")


def run(model: nn.Module, image: Tensor) -> Run:
    """Run a CLIP's or timm model's vision tower on ``image`` [3, H, W], attention written out."""
    tower = copy.deepcopy(getattr(model, "visual", model)).double().eval()
    image = image.double()[None]
    if hasattr(tower, "ln_post"):
        patch, grid = tower.patch_size, _grid(image, tower.patch_size)
        x = F.conv2d(image, tower.conv1.weight, stride=patch).flatten(2).transpose(1, 2)
        x = torch.cat([tower.class_embedding[None, None], x], 1)
        x = tower.ln_pre(x + _position(tower.positional_embedding, tower.grid_size, grid, 1))[0]
        blocks, prefix = tower.transformer.resblocks, 1
    else:
        patch, grid = tower.patch_embed.patch_size, _grid(image, tower.patch_embed.patch_size)
        x = F.conv2d(image, tower.patch_embed.proj.weight, tower.patch_embed.proj.bias, stride=patch)
        x = x.flatten(2).transpose(1, 2)
        extra = [getattr(tower, name, None) for name in ("cls_token", "dist_token", "reg_token")]
        extra = [token for token in extra if token is not None]
        prefix = sum(token.shape[1] for token in extra)
        if tower.no_embed_class:
            x = torch.cat([*extra, x + _position(tower.pos_embed[0], tower.patch_embed.grid_size, grid, 0)], 1)
        else:
            x = torch.cat([*extra, x], 1)
            x = x + _position(tower.pos_embed[0], tower.patch_embed.grid_size, grid, prefix)
        x = tower.norm_pre(x)[0]
        blocks = tower.blocks
    made = Run(tower, [], [x], grid, prefix)
    for block in blocks:
        step = _clip_block if made.is_clip else _timm_block
        a, x = step(block, x)
        made.attention.append(a)
        made.tokens.append(x)
    return made


def _grid(image: Tensor, patch: tuple[int, int]) -> tuple[int, int]:
    return image.shape[2] // patch[0], image.shape[3] // patch[1]


def _position(embedding: Tensor, old: tuple[int, int], new: tuple[int, int], prefix: int) -> Tensor:
    if tuple(old) == tuple(new):
        return embedding
    image = embedding[prefix:].float().T.reshape(1, -1, *old)
    grown = F.interpolate(image, size=new, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([embedding[:prefix], grown[0].flatten(1).T.double()])


def _clip_block(block: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    attn, heads = block.attn, block.attn.num_heads
    q, k, v = F.linear(block.ln_1(z), attn.in_proj_weight, attn.in_proj_bias).chunk(3, -1)
    a, o = _attend(q, k, v, heads, nn.Identity(), nn.Identity())
    y = z + block.ls_1(attn.out_proj(o))
    return a, y + block.ls_2(block.mlp(block.ln_2(y)))


def _timm_block(block: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    attn = block.attn
    q, k, v = attn.qkv(block.norm1(z)).chunk(3, -1)
    a, o = _attend(q, k, v, attn.num_heads, attn.q_norm, attn.k_norm)
    y = z + block.ls1(attn.proj(o))
    return a, y + block.ls2(block.mlp(block.norm2(y)))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, q_norm: nn.Module, k_norm: nn.Module) -> tuple[Tensor, Tensor]:
    q, k, v = (x.view(len(x), heads, -1).transpose(0, 1) for x in (q, k, v))
    a = torch.softmax(q_norm(q) @ k_norm(k).transpose(1, 2) / q.shape[-1] ** 0.5, -1)
    return a, (a @ v).transpose(0, 1).flatten(1)


def native_features(made: Run, z: Tensor) -> Tensor:
    """The model's own readout of tokens z [N, D]; distilled: both tokens side by side."""
    tower = made.tower
    if made.is_clip:
        average = tower.pool_type == "avg"
        if tower.final_ln_after_pool:
            pooled = tower.ln_post(z[1:].mean(0) if average else z[0])
        else:
            pooled = tower.ln_post(z)[1:].mean(0) if average else tower.ln_post(z)[0]
        return pooled @ tower.proj
    z = tower.norm(z)
    if hasattr(tower, "dist_token"):
        return torch.cat([z[0], z[1]])
    if tower.global_pool == "token":
        return tower.fc_norm(z[0])
    return tower.fc_norm(z[0 if tower.pool_include_prefix else made.prefix :].mean(0))


def projected(made: Run, pooled: Tensor, *, norm: bool) -> Tensor:
    """A pooled token [D] through final norm (if asked) and projection."""
    tower = made.tower
    if made.is_clip:
        return (tower.ln_post(pooled) if norm else pooled) @ tower.proj
    if norm:
        pooled = tower.fc_norm(tower.norm(pooled))
    return torch.cat([pooled, pooled]) if hasattr(tower, "dist_token") else pooled


def readout_shares(made: Run) -> Tensor:
    """pi [N]."""
    tower, pi = made.tower, torch.zeros(len(made.tokens[0]), dtype=torch.float64)
    if made.is_clip:
        rows = slice(1, None) if tower.pool_type == "avg" else slice(0, 1)
    elif tower.global_pool == "token":
        rows = slice(0, 2 if hasattr(tower, "dist_token") else 1)
    else:
        rows = slice(0 if tower.pool_include_prefix else made.prefix, None)
    pi[rows] = 1
    return pi / pi.sum()
