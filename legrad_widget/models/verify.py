"""Nothing is ever silently wrong: every replayed block is compared with the native one, once, on noise."""

from __future__ import annotations

import torch
from torch import Tensor

from .block import Block
from .capture import capture, plain_arithmetic
from .live import apply, precise
from .mlp import Mlp
from .view import UnsupportedModel, ViT

# Largest relative difference, in units of what the block changes, plus a few roundings of the tokens themselves.
TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 8e-2}
ROUNDINGS = 4.0


def verify(vit: ViT) -> None:
    """One native forward on noise; every block and the readout recomputed from what the hooks saw.

    Raises:
        UnsupportedModel: a block or the readout differs (the message names it), or the native forward fails.
    """
    if vit.dtype not in TOLERANCE:
        raise UnsupportedModel(f"{vit.name} computes in {vit.dtype}; float32, float16 and bfloat16 are supported")
    generator = torch.Generator(device="cpu").manual_seed(0)
    noise = torch.randn(3, *vit.size, generator=generator, device="cpu", dtype=torch.float32)
    try:
        tokens, output = capture(vit, noise, budget=0)
    except UnsupportedModel:
        raise
    except Exception as error:  # whatever the library's own code raises
        raise UnsupportedModel(
            f"the forward of {vit.name} itself fails on an image of its own size ({_first_line(error)}); make it run "
            "first, then it can be explained"
        ) from error
    with plain_arithmetic(vit.device):
        for layer in range(1, tokens.depth + 1):
            block = tokens.block(layer)
            before, middle, after = tokens.before(layer), tokens.middle(layer), tokens.after(layer)
            for what, replayed, native, start in (
                ("attention", block.middle(before), middle, before),
                ("MLP", block.finish(middle, before), after, middle),
            ):
                if _differs(replayed, native, native - start, vit.dtype):
                    raise UnsupportedModel(
                        f"the {what} of {block.name} in {vit.name} does something that its parts do not tell "
                        f"(replayed and native output differ by {_distance(replayed, native):.1e}); this block is not "
                        "supported. A model with another attention or MLP needs its own from_*.py"
                    )
            _check_activation(vit, block, before)
        features = vit.readout(tokens.after(len(vit.blocks)))
        if vit.classes is not None:
            weight, bias = vit.classes()
            features = features @ weight.T + (0 if bias is None else bias)
    if not torch.isfinite(output).all():
        raise UnsupportedModel(
            f"the output of {vit.name} is not finite: its head holds NaN or inf. Load the weights again"
        )
    if features.shape != output.shape or _differs(features, precise(output), precise(output), vit.dtype):
        raise UnsupportedModel(
            f"the readout of {vit.name} (final norm, pooling, projection) does something that its parts do not tell; "
            "this model is not supported"
        )


def _check_activation(vit: ViT, block: Block, tokens: Tensor) -> None:
    """The MLP's gradient takes its activation to act on each number alone."""
    first = block.mlp.fc1 if isinstance(block.mlp, Mlp) else block.mlp.gate
    hidden = first(apply(block.norm2, tokens[:1]))
    moved = hidden.clone()
    moved[..., 0] += 1
    if not torch.equal(block.mlp.act(hidden)[..., 1:], block.mlp.act(moved)[..., 1:]):
        raise UnsupportedModel(
            f"the activation of {block.name} in {vit.name} mixes hidden units, which is not supported"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp_min(1e-30))


def _differs(replayed: Tensor, native: Tensor, change: Tensor, dtype: torch.dtype) -> bool:
    allowed = TOLERANCE[dtype] * change.norm() + ROUNDINGS * torch.finfo(dtype).eps * native.norm()
    return not bool((replayed - native).norm() <= allowed)
