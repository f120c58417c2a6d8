"""ViT-ReciproCAM: which patch alone lets the last block still find the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, cast

import torch
from torch import Tensor

from ..models.capture import Tokens
from ..models.live import apply
from ..models.view import ViT
from ..target import Aim, Aims, Score
from ._method import KnobError, Maps, Tick, method
from ._single_map import only_layer

Site = Literal["norm", "block", "pooler"]
Residual = Literal["kept", "masked"] | None
Rest = Callable[[Tensor], Tensor]  # which weight each token has [m, N] -> features [m, E]
_CHUNK = {"cpu": 1 << 23, "cuda": 1 << 27}  # numbers that the masks of one batch may need (32 and 512 MiB)
_KERNELS = {"dirac": ((1.0,),), "gaussian": ((1 / 16, 1 / 8, 1 / 16), (1 / 8, 1 / 4, 1 / 8), (1 / 16, 1 / 8, 1 / 16))}


@method(
    title="ViT-ReciproCAM",
    summary="The score when the last block sees one patch (and its neighbours) and zeros elsewhere. No gradient.",
    shows=(
        "What the model would say if its last block saw one patch with its neighbours and zeros elsewhere. No "
        "gradient; but the layers below have mixed the patches by then."
    ),
    formula=(
        "S[m] = s(H(F ⊙ Mᵐ))\n"
        "F: what the last block's attention reads; H: the rest of the model\n"
        "Mᵐ: 1/16 · [1 2 1; 2 4 2; 1 2 1] around patch m, 1 on the class token, 0 elsewhere\n"
        "s: a class's probability, a prompt's cosine"
    ),
    paper="Byun & Lee, ViT-ReciproCAM (arXiv:2310.02588), eqs. 2-4",
    cost="class token: 0.2 forwards for all targets; else one last block per patch",
    merge="last",
    default="last",
    readouts=("cls", "mean", "attention"),
)
def reciprocam(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    kernel: Annotated[
        Literal["gaussian", "dirac"], "what each mask lets through: a soft 3 x 3 window, or one patch"
    ] = "gaussian",
    cls: Annotated[bool, "keep the class token in every mask"] = True,
    site: Annotated[
        Site, "what is masked: the last block's normed input, its whole input, or what an attention pooler reads"
    ] = "norm",
    residual: Annotated[Residual, "the last block's skip connection; None: kept, but masked with site='block'"] = None,
    score: Annotated[
        Literal["prob", "logit", "cos", "dot"] | None,
        "None: softmax over a classifier's classes, cosine for prompts, dot product for directions",
    ] = None,
) -> Maps:
    """``S[m] = s(H(F * M^m))``: F what the last block's attention reads, M^m a mask around patch m, H the rest.

    Dirac: 1 at patch m. Gaussian: outer([1, 2, 1], [1, 2, 1]) / 16 around it, cut off at the border and not made to
    sum to 1 again. Prefix tokens are 1 in every mask (``cls=False``: 0 at the class token; registers stay). Masked
    tokens are zeros, not gone: their keys and values are biases, and they take their part of the softmax.

    The score is the softmax probability among a classifier's classes; a prompt's is its cosine, since a softmax over a
    single prompt is always 1, and one over the prompts that happen to be asked together would change with them. Of a
    contrast of classes it is the difference of their logits.

    ``site`` "block" masks the block's whole input, residual included. "pooler" masks the normed tokens that an
    attention pooler reads. Where a class token is read, its query is the same for all masks, so every mask is one row
    of the softmax over keys that were projected once per weight of the kernel; a pooler's query likewise. Other
    readouts run the last block once per mask, in batches. In parallel blocks only the attention's input is masked.

    Paper and reference code: the paper gives no kernel values, these are the code's; the paper leaves the residual
    as it is, one of the two codes masks it (``residual="masked"``: no difference where a kept class token is read);
    the paper scores by softmax, the codes by the model's output (``score="logit"``).

    Cost: class token or pooler site, about 0.2 forwards; otherwise one last block per patch, n / L forwards. Targets
    share all of it.

    Raises:
        KnobError: a knob that plays no part in this model (``cls`` without a class token, ``site="pooler"`` without a
            pooler), residual beside a site that decides it, or score="prob" for a target that is no class.
    """
    vit, depth = tokens.vit, tokens.depth
    label = only_layer(layers, depth, "ViT-ReciproCAM")
    _check(vit, cls, site, residual)
    weights, which = _masks(tokens, kernel, cls)
    masked = residual == "masked" or site == "block"
    if site == "pooler":
        rest, numbers = _pooler_rest(tokens, weights), 4 * _row_numbers(tokens)
    elif vit.readout.kind == "cls":
        rest, numbers = _row_rest(tokens, weights, which, site, masked), 4 * _row_numbers(tokens)
    else:
        rest, numbers = _block_rest(tokens, weights, site, masked), 3 * _row_numbers(tokens) * tokens.count
    scored, device = _score(vit, aims, score), weights.device
    batch = max(1, _CHUNK.get(device.type, _CHUNK["cpu"]) // numbers)
    batches, values = which.split(batch), []
    for step, part in enumerate(batches):
        tick(step, len(batches))
        values.append(scored(rest(part)))
    maps = torch.zeros(len(aims), tokens.count, dtype=weights.dtype, device=device)
    maps[:, vit.prefix :] = torch.cat(values).T
    ran = {} if site == "pooler" else {"residual": "masked" if masked else "kept"}
    return Maps(maps[:, None, None], label, None, has_heads=False, signed=False, ran=ran)


def _check(vit: ViT, cls: bool, site: Site, residual: Residual) -> None:
    readout = vit.readout
    if site == "pooler" and readout.pooler is None:
        raise KnobError(f"{vit.name} has no attention pooler; use site='norm' or site='block'")
    if not cls and not vit.has_cls:
        raise KnobError(f"{vit.name} has no class token; leave out cls")
    if not cls and site == "pooler" and readout.rows.start:
        raise KnobError(f"the attention pooler of {vit.name} does not read the class token; leave out cls")
    if residual is not None and site == "pooler":
        raise KnobError("an attention pooler has no residual; leave out residual")
    if residual == "kept" and site == "block":
        raise KnobError("site='block' masks the block's whole input, its residual too; leave out residual")


def _masks(tokens: Tokens, kernel: str, cls: bool) -> tuple[Tensor, Tensor]:
    """The weights that occur [W] (first 0, then 1), and which of them mask m gives to token j: [n, N] int64."""
    height, width = tokens.grid
    prefix, window = tokens.vit.prefix, _KERNELS[kernel]
    weights = [0.0, 1.0, *sorted({weight for line in window for weight in line} - {1.0})]
    which = torch.zeros(height * width, tokens.count, dtype=torch.long)
    which[:, :prefix] = 1
    if not cls:
        which[:, 0] = 0
    row, column = (
        index.flatten() for index in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    )
    for down, line in enumerate(window, start=-(len(window) // 2)):
        for across, weight in enumerate(line, start=-(len(window) // 2)):
            r, c = row + down, column + across
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            which[inside.nonzero()[:, 0], prefix + r[inside] * width + c[inside]] = weights.index(weight)
    z = tokens.before(1)
    return torch.tensor(weights, dtype=z.dtype, device=z.device), which.to(z.device)


def _row_numbers(tokens: Tokens) -> int:
    """Numbers that one row of every head's attention, and the MLP of one token, take."""
    return tokens.block(tokens.depth).attention.heads * tokens.count + 8 * tokens.before(1).shape[-1]


def _read_by(tokens: Tokens, site: Site, weight: Tensor) -> Tensor:
    """T [..., N, D], what the last block's attention reads when its tokens have the weights [..., N or 1]."""
    block, z = tokens.block(tokens.depth), tokens.before(tokens.depth)
    return block.normed(z * weight[..., None]) if site == "block" else block.normed(z) * weight[..., None]


def _finished(tokens: Tokens, added: Tensor, weight: Tensor | None) -> Tensor:
    """Features [m, E] when the attention ``added`` [m, R, D] to the rows that are read; ``weight`` masks residuals."""
    readout = tokens.vit.readout
    z = tokens.before(tokens.depth)[readout.rows]
    if weight is not None:
        z = z * weight[..., readout.rows, None]
    read = tokens.block(tokens.depth).finish(z + added, z)
    return readout.tail(readout.pool(apply(readout.norm, read)))


def _block_rest(tokens: Tokens, weights: Tensor, site: Site, masked: bool) -> Rest:
    """The last block once per mask."""
    block, rows = tokens.block(tokens.depth), tokens.vit.readout.rows

    def rest(which: Tensor) -> Tensor:
        weight = weights[which]
        added = block.attend(_read_by(tokens, site, weight), rows)
        return _finished(tokens, added, weight if masked else None)

    return rest


def _row_rest(tokens: Tokens, weights: Tensor, which: Tensor, site: Site, masked: bool) -> Rest:
    """The same where class tokens are read: prefix tokens have one weight in all masks, so their queries are shared."""
    block, rows = tokens.block(tokens.depth), tokens.vit.readout.rows
    attention, own = block.attention, weights[which[0]]
    t, read = _read_by(tokens, site, own), _read_by(tokens, site, weights[:, None])
    logits = attention.queries(t, rows) @ attention.keys(read).transpose(-2, -1)
    if attention.place.bias is not None:
        logits = logits + attention.place.bias(rows).to(logits.dtype)
    values = attention.values(read)

    def rest(which: Tensor) -> Tensor:
        added = block.rejoin(_attended(logits, values, which), t[rows])
        return _finished(tokens, added, own if masked else None)

    return rest


def _pooler_rest(tokens: Tokens, weights: Tensor) -> Rest:
    """The attention pooler on its masked input; its query is always the same."""
    readout = tokens.vit.readout
    pooler = readout.pooler
    assert pooler is not None  # checked
    k = apply(readout.norm, tokens.after(tokens.depth)[readout.rows]) * weights[:, None, None]
    keys = apply(pooler.key_norm, pooler.split(pooler.key(k)))
    logits = pooler.query().to(k.dtype)[:, None] @ keys.transpose(-2, -1)
    values = pooler.values(k)

    def rest(which: Tensor) -> Tensor:
        o = _attended(logits, values, which[:, readout.rows])
        return readout.tail(pooler.finish(o[..., 0, :]))

    return rest


def _attended(logits: Tensor, values: Tensor, which: Tensor) -> Tensor:
    """O [m, H, R, e]: one softmax row per mask, each token's logit and value taken at the weight that it has there.

    ``logits`` [W, H, R, N] and ``values`` [W, H, N, e] of every weight, ``which`` [m, N]. The zeroed tokens are not
    merged into one term: with rotary positions or a position bias their logits differ.
    """
    chosen = [(which == index)[:, None, None] for index in range(len(logits))]
    row = logits[0].expand(len(which), *logits.shape[1:])
    for logit, here in zip(logits[1:], chosen[1:], strict=True):
        row = torch.where(here, logit, row)
    shares = row.softmax(-1)
    parts = (torch.einsum("mhrn,hne->mhre", shares * here, v) for here, v in zip(chosen, values, strict=True))
    return torch.stack([*parts]).sum(0)


def _score(vit: ViT, aims: list[Aim], score: str | None) -> Callable[[Tensor], Tensor]:
    """Features [m, E] -> [m, P]."""
    of_class = [vit.classes is not None and aim.default == "logit" and aim.sides is None for aim in aims]
    if score == "prob" and not all(of_class):
        label = next(aim.label for aim, known in zip(aims, of_class, strict=True) if not known)
        raise KnobError(
            f"score='prob' is a softmax over a classifier's classes, and {label!r} is not one of them; use "
            "score='cos', or leave out score"
        )
    plain = Aims(aims, None if score in (None, "prob") else cast(Score, score))
    if score not in (None, "prob") or vit.classes is None:
        return lambda features: plain(features[:, None])
    weight, bias = vit.classes()
    known = torch.tensor(of_class, device=weight.device)

    def probability(features: Tensor) -> Tensor:
        scores = plain(features[:, None])
        logits = features @ weight.to(features.dtype).T + (0 if bias is None else bias.to(features.dtype))
        return torch.where(known, (scores - logits.logsumexp(-1, keepdim=True)).exp(), scores)

    return probability
