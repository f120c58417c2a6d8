"""The final score on the graph of the model's own float64 forward.

Nothing of ours: targets are directions in the space of the library's own output, or rows of its own logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import native


@dataclass
class Scored:
    """``before[l]`` [1, N, D] or [N, 1, D] is what enters block l (0-based); the last one leaves the last block."""

    made: native.Recording
    before: list[Tensor]
    score: Tensor

    @property
    def depth(self) -> int:
        return len(self.before) - 1

    def gradient(self, of: Tensor) -> Tensor:
        """ds/d``of``; zeros where the score does not depend on it."""
        (found,) = torch.autograd.grad(self.score, of, retain_graph=True, allow_unused=True)
        return torch.zeros_like(of) if found is None else found

    def tokens(self, layer: int) -> tuple[Tensor, Tensor]:
        """Z^l [N, D] and ds/dZ^l [N, D]; layer 0 is what enters the first block."""
        z = self.before[layer]
        axis = 1 if z.shape[1] == 1 and z.shape[0] > 1 else 0
        return z.detach().select(axis, 0), self.gradient(z).select(axis, 0)


def score(model: nn.Module, image: Tensor, target: Tensor | int, kind: str, scale: float = 1.0) -> Scored:
    """``kind`` "dot" or "cos" with a direction [E] (times ``scale``), or "logit": the output's number ``target``."""
    kept: list[Tensor] = []
    blocks = native.blocks_of(model)
    handles = [block.register_forward_pre_hook(lambda _module, args: kept.append(args[0])) for block in blocks]
    handles.append(blocks[-1].register_forward_hook(lambda _module, _args, output: kept.append(output)))
    try:
        made = native.record(model, image)
    finally:
        for handle in handles:
            handle.remove()
    if isinstance(target, int):
        assert kind == "logit"
        return Scored(made, kept, made.output[target])
    f, t = made.output.flatten(), target.double()  # an open_clip pooler in parallel leaves its one query as an axis
    s = f @ t if kind == "dot" else F.cosine_similarity(f, t, dim=0)
    return Scored(made, kept, scale * s)
