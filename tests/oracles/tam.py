"""TAM, literally: the library's own forward in float64 with patches gone. Two roads: tokens deleted, keys masked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import native

Score = Callable[[Tensor], Tensor]


def tam(
    run: Callable[[nn.Module, Tensor, list[int]], Tensor],
    model: nn.Module,
    image: Tensor,
    score: Score,
    removals: Sequence[list[int]],
) -> Tensor:
    """s(everything) - s(without the tokens of each removal) [M], one forward each; ``run``: a road below."""
    whole = score(run(model, image, []))
    return torch.stack([whole - score(run(model, image, removed)) for removed in removals]).detach()


def deleted(model: nn.Module, image: Tensor, removed: list[int], layer: int = 1) -> Tensor:
    """The native output after the tokens ``removed`` were cut out of what enters the block ``layer``, from 1."""
    model = copy.deepcopy(model).double().eval()
    tower = getattr(model, "visual", model)
    axis = 0 if getattr(getattr(tower, "transformer", None), "batch_first", True) is False else 1

    def cut(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        left = [i for i in range(args[0].shape[axis]) if i not in removed]
        return (args[0].index_select(axis, torch.tensor(left)), *args[1:])

    native.blocks_of(tower)[layer - 1].register_forward_pre_hook(cut)
    with torch.no_grad():
        output = tower(image.double()[None])
    output = output[0] if isinstance(output, tuple) else output
    return output.flatten(0, -2)[0]


def masked(model: nn.Module, image: Tensor, removed: list[int], layer: int = 1) -> Tensor:
    """The native blocks with the keys ``removed`` masked in every attention from the block ``layer`` on, from 1; the
    native tail on the tokens that stay.

    The road for models whose blocks need every token in its place (rotary positions, relative biases).
    """
    made = native.record(model, image)
    keep = torch.ones(len(made.after[0]), dtype=torch.bool)
    keep[removed] = False
    z = native.record(model, image, keep=keep, layer=layer).after[-1]
    return native.tail(made.model, z[keep])
