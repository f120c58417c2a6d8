"""A Vision Transformer as the methods see it: a frozen record of live references into the caller's model.

Axis letters: L blocks, H heads, N tokens (prefix tokens first, then the patches row by row), D width, e head width,
E feature width, P targets, R query rows.

All arithmetic is float32, whatever the model's own dtype (float64 for a float64 model). The parts: `live` (weights),
`attention`, `mlp`, `block`, `readout`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .block import Block
from .readout import Readout


class UnsupportedModel(ValueError):
    """The model cannot be explained faithfully; the message says why and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class ViT:
    """A vision tower: blocks, readout, grid, and the native forward that is never re-implemented.

    ``prefix`` counts the tokens before the patches; ``has_cls`` says whether token 0 is a class token.
    ``native(images, grid)`` runs the model's own forward on [1, 3, Hin, Win] (for another grid than ``grid`` with an
    interpolated position embedding for that call alone) and returns features, or logits where the model has a head.
    ``classes()`` gives a classifier's directions [C, E] and bias [C]; None where there are no classes.
    ``batch_first`` is False where the blocks see [N, B, D]. ``fixed_grid`` says why no other grid is possible, or "".
    """

    name: str
    module: nn.Module
    blocks: tuple[Block, ...]
    readout: Readout
    prefix: int
    has_cls: bool
    grid: tuple[int, int]
    patch: tuple[int, int]
    features: int
    native: Callable[[Tensor, tuple[int, int]], Tensor]
    batch_first: bool = True
    classes: Callable[[], tuple[Tensor, Tensor | None]] | None = None
    fixed_grid: str = ""

    @property
    def heads(self) -> int:
        """H of the last block."""
        return self.blocks[-1].attention.heads

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the native model input in pixels."""
        return self.grid[0] * self.patch[0], self.grid[1] * self.patch[1]

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the native forward expects of its images: its patch embedding's."""
        convolutions = (m.weight.dtype for m in self.module.modules() if isinstance(m, nn.Conv2d))
        return next(convolutions, next(self.module.parameters()).dtype)
