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
    """``last`` [1, N, D] or [N, 1, D]: what leaves the last block."""

    made: native.Recording
    last: Tensor
    score: Tensor

    @property
    def depth(self) -> int:
        return len(self.made.before)

    def gradient(self, of: Tensor) -> Tensor:
        """ds/d``of``; zeros where the score does not depend on it."""
        (found,) = torch.autograd.grad(self.score, of, retain_graph=True, allow_unused=True)
        return torch.zeros_like(of) if found is None else found

    def tokens(self, layer: int) -> tuple[Tensor, Tensor]:
        """Z^l [N, D] and ds/dZ^l [N, D]; layer 0 is what enters the first block."""
        if layer < self.depth:
            return self.made.before[layer].detach(), self.gradient(self.made.before[layer])
        width = self.last.shape[-1]
        return self.last.detach().reshape(-1, width), self.gradient(self.last).reshape(-1, width)


def score(model: nn.Module, image: Tensor, target: Tensor | int, kind: str, scale: float = 1.0) -> Scored:
    """``kind`` "dot" or "cos" with a direction [E] (times ``scale``), or "logit": the output's number ``target``."""
    last: list[Tensor] = []
    blocks = native.blocks_of(getattr(model, "visual", model))
    handle = blocks[-1].register_forward_hook(lambda _module, _args, output: last.append(output))
    try:
        made = native.record(model, image)
    finally:
        handle.remove()
    if isinstance(target, int):
        assert kind == "logit"
        return Scored(made, last[0], made.output[target])
    f, t = made.output.flatten(), target.double()  # an open_clip pooler in parallel leaves its one query as an axis
    s = f @ t if kind == "dot" else F.cosine_similarity(f, t, dim=0)
    return Scored(made, last[0], scale * s)
