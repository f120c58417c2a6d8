"""TextSpan, literally: every term of the image's vector written out as a vector, all norms with fixed statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from . import native
from .last_attention import pooler_module
from .raw_attention import pooler_rows, read_rows

POST_NORM = ("ResPostBlock", "ResPostRelPosBlock", "EvaBlockPostNorm")


@dataclass
class Split:
    """``terms`` [L, N, H] of the attentions (a pooler's: [1, N, H]) and ``others`` add up to the score ``total``."""

    terms: Tensor
    others: Tensor
    total: Tensor


@dataclass
class _Terms:
    """Vectors that sum to one vector: ``own`` [L, N, H, ...], ``rest`` [M, ...]; K of them, attentions counted once."""

    own: Tensor
    rest: Tensor
    count: int

    @property
    def whole(self) -> Tensor:
        return self.own.sum((0, 1, 2)) + self.rest.sum(0)

    def through(self, norm: Any, centering: str, *, alone: bool = False) -> _Terms:
        """Each term's share of ``norm(whole)``; ``alone``: the norm is of this one attention, so K is 1."""
        if isinstance(norm, nn.Identity):
            return self
        n, h = self.own.shape[1:3]
        x, k = self.whole, 1 if alone else self.count
        centres = not type(norm).__name__.lower().startswith("rms")
        mean = x.mean(-1, keepdim=True) * (1.0 if centres else 0.0)
        sigma = ((x - mean).square().mean(-1, keepdim=True) + norm.eps).sqrt()
        shift = torch.zeros_like(x) if getattr(norm, "bias", None) is None else norm.bias.expand_as(x)

        def share(c: Tensor, parts: int) -> Tensor:
            own_mean = c.mean(-1, keepdim=True) if centres else 0.0
            centre = own_mean if centering == "own" else mean / parts
            return (c - centre) * norm.weight / sigma + shift / parts

        rest = share(self.rest, k) if len(self.rest) else self.rest
        made = _Terms(share(self.own, k * n * h), rest, self.count)
        torch.testing.assert_close(made.whole, norm(x), rtol=1e-10, atol=1e-10)
        return made

    def each(self, f: Any) -> _Terms:
        return _Terms(f(self.own), f(self.rest), self.count)


def textspan(model: nn.Module, image: Tensor, target: Any, centering: str = "shared") -> Split:
    """``target``: a class, or a direction [E] (scored by the cosine on a CLIP, by the dot product elsewhere)."""
    with torch.no_grad():
        made = native.record(model, image)
        tower = getattr(made.model, "visual", made.model)
        trunk, z = getattr(tower, "trunk", tower), made.after[-1]
        pooled = pooler_rows(made, z) is not None
        terms = _of_pooler(made, trunk, z) if pooled else _of_rows(made, trunk, z, centering)
        terms = terms.through(_post_norm(trunk), centering)
        if isinstance(target, int):
            along = torch.zeros_like(made.output)
            along[target] = 1.0
        else:
            f, along = made.output.flatten(), target.double()
            if made.model is not tower:
                along = along / along.norm() / f.norm()
        total = made.output.flatten() @ along
        t, offset = _through_head(tower, terms.whole, along)
        others = torch.cat([terms.rest @ t, offset[None]])
        return Split((terms.own @ t).detach(), others.detach(), total.detach())


def _through_head(tower: Any, x: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """What the library's affine head makes of <head(x), along>: <x, t> + offset."""

    def head(x: Tensor) -> Tensor:
        if _distilled(tower):
            first, second = x.chunk(2)
            return (tower.head(first) + tower.head_dist(second)) / 2
        if getattr(tower, "proj", None) is not None:
            return x @ tower.proj
        trunk = getattr(tower, "trunk", tower)
        x = getattr(trunk, "head", nn.Identity())(x)
        return x if trunk is tower else tower.head(x[None])[0]

    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (t,) = torch.autograd.grad(head(leaf) @ along, leaf)
    return t, head(torch.zeros_like(x)) @ along


def _distilled(tower: Any) -> bool:
    return hasattr(tower, "dist_token")


def _norm(tower: Any) -> nn.Module:
    if hasattr(tower, "ln_post"):
        return nn.Identity() if tower.final_ln_after_pool else tower.ln_post
    return tower.norm


def _post_norm(tower: Any) -> nn.Module:
    if hasattr(tower, "ln_post"):
        if getattr(tower, "attn_pool", None) is not None:
            return nn.Identity() if getattr(tower, "attn_pool_contrastive", None) is not None else tower.ln_post
        return tower.ln_post if tower.final_ln_after_pool else nn.Identity()
    return nn.Identity() if _distilled(tower) else tower.fc_norm


def _of_rows(made: native.Recording, tower: Any, z: Tensor, centering: str) -> _Terms:
    """Terms of the pooled vector: the rows that are read, side by side (class tokens) or averaged."""
    rows = read_rows(made, z)
    blocks, attentions, rest = native.blocks_of(tower), [], [made.before[0][rows]]
    for block, a, v, before, after in zip(blocks, made.attention, made.values, made.before, made.after, strict=False):
        terms = _attention_terms(block, a[:, rows], v)
        attentions.append(terms)
        rest.append(after[rows] - before[rows] - terms.sum((0, 1)))  # the MLP's
    whole = _Terms(torch.stack(attentions), torch.stack(rest), 2 * len(blocks) + 1)
    torch.testing.assert_close(whole.whole, z[rows], rtol=1e-10, atol=1e-10)
    normed = whole.through(_norm(tower), centering)
    side_by_side = len(rows) == 1 or _distilled(tower)
    return normed.each((lambda x: x.flatten(-2)) if side_by_side else (lambda x: x.mean(-2)))


def _attention_terms(block: Any, a: Tensor, v: Tensor) -> Tensor:
    """c [N, H, R, D]: what every key token and head adds to every row."""
    attention = getattr(block, "attn", block)
    out = next(getattr(attention, name) for name in ("out_proj", "proj", "attn_out_proj") if _has(attention, name))
    heads, _, n = a.shape
    width = heads * v.shape[-1]  # a fused parallel block's one projection reads the attention first
    slices = out.weight[:, :width].unflatten(1, (heads, -1))  # [D, H, e]
    c = torch.einsum("hrn,dhe,hne->nhrd", a, slices, v)
    c = c + (0.0 if out.bias is None else out.bias / (n * heads))
    for name in ("ls_1", "ls1", "ls", "gamma_1"):
        scale = getattr(block, name, None)
        if scale is not None and not isinstance(scale, nn.Identity):
            c = c * getattr(scale, "gamma", scale)
    after = block.norm1 if type(block).__name__ in POST_NORM else getattr(block, "ln_attn", nn.Identity())
    empty = c.new_zeros(0, *c.shape[2:])
    return _Terms(c[None], empty, 1).through(after, "own", alone=True).own[0]


def _has(module: Any, name: str) -> bool:
    return getattr(module, name, None) is not None


def _of_pooler(made: native.Recording, tower: Any, z: Tensor) -> _Terms:
    """Terms of the pooled vector: the pooler's attention, token by token, and its MLP as one."""
    seen: list[Tensor] = []
    module = getattr(tower, "attn_pool_contrastive", None) or tower.attn_pool
    handle = module.register_forward_hook(lambda _m, _a, output: seen.append(output))
    again = native.Recording(made.model)
    with native.explicit_attention(again):
        native.tail(made.model, z)
    handle.remove()
    pooled = seen[-1].reshape(-1, seen[-1].shape[-1])[0]
    a, v, attention = again.attention[-1][:, 0], again.values[-1], pooler_module(tower)
    heads, n = a.shape
    out = next((getattr(attention, name) for name in ("out_proj", "proj") if _has(attention, name)), None)
    if isinstance(out, nn.Linear):
        c = torch.einsum("hn,dhe,hne->nhd", a, out.weight.unflatten(1, (heads, -1)), v)
        c = c + (0.0 if out.bias is None else out.bias / (n * heads))
    else:  # no output projection: every head has its own part of the vector
        c = torch.zeros(n, heads, len(pooled), dtype=torch.float64)
        for h in range(heads):
            c[:, h].unflatten(-1, (heads, -1))[:, h] = a[h, :, None] * v[h]
    remainder = pooled - c.sum((0, 1))
    has_mlp = getattr(attention, "mlp", None) is not None
    if not has_mlp:
        torch.testing.assert_close(remainder, torch.zeros_like(remainder), rtol=0, atol=1e-10)
    return _Terms(c[None], remainder[None] if has_mlp else remainder[None][:0], 2 if has_mlp else 1)
