"""TAM: what the score loses when a patch is taken away."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import torch
from torch import Tensor

from ..models.capture import Tokens
from ..models.forward import batch_size, features_of_tokens
from ..target import Aim, Aims
from ._method import KnobError, Maps, Tick, method
from ._single_map import only_layer


class Forward(Protocol):
    """As :func:`legrad_widget.models.forward.features_of_tokens`."""

    def __call__(self, tokens: Tokens, *, keep: Tensor, tick: Tick) -> Tensor:
        """Features [M, E] without the tokens that the masks ``keep`` [M, N] leave out."""


_REFINED = 4  # coarse to fine: one window in this many is looked at patch by patch


@method(
    title="TAM",
    summary="How much the score drops when a patch is removed, exactly, one patch after the other.",
    shows=(
        "What the score really loses without a patch, found by running the model without it: no gradient, nothing "
        "approximated. What two patches show alike neither of them loses."
    ),
    formula=(
        "S[i] = s(all tokens) − s(all tokens but patch i)\n"
        "s: the final score; a token leaves after the position embedding, before block 1"
    ),
    paper="token ablation map: Brocki et al., CDAM (arXiv:2312.02364), eq. 5",
    cost="one forward per patch (or per group of patches), shared by all targets",
    signed=True,
    merge="last",
    default="last",
    readouts=("cls", "mean", "attention"),
    slow=True,
)
def tam(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    group: Annotated[int, "patches are removed in windows of so many by so many; 1: each alone", (1, None)] = 1,
    coarse: Annotated[
        int | None,
        "approximation: windows of this size first, then single patches in the quarter of them that matters most",
        (2, None),
    ] = None,
    score: Annotated[
        Literal["cos", "dot", "logit"] | None, "what is compared; None: cosine for prompts, logit for classes"
    ] = None,
) -> Maps:
    """``S[i] = s(all tokens) - s(all tokens but patch i)`` (eq. 5); positive where the patch speaks for the target.

    Tokens leave after the position embedding, before block 1; all others keep their positions. A token whose key is
    masked in every block and in the readout might as well not be there, so removal is one key mask per patch, and masks
    run in batches through the replayed blocks. In the last block only the tokens that are read are computed. Prefix
    tokens (class token, registers) are never removed: their value is 0. All targets share the forwards.

    ``group`` k > 1: the same formula for k x k windows (smaller at the edges), every patch of a window with the
    window's value. ``coarse`` k: an approximation. Windows that are not refined share their value out evenly among
    their patches.

    Paper and reference code: the text once says "accuracy"; equation and code take the score, as here.

    Cost: n + 1 forwards without their patch embedding and most of the last block; about n/k^2 with ``group``, about
    n/k^2 + n/4 with ``coarse`` (for one target; more where targets refine different windows).

    Raises:
        KnobError: windows that cover the whole grid, or ``group`` and ``coarse`` together.
    """
    label = only_layer(layers, tokens.depth, "TAM")
    if coarse is not None and group != 1:
        raise KnobError("coarse refines down to single patches; leave out group, or leave out coarse")
    patches = ablated(tokens, Aims(aims, score), tick, group=group, coarse=coarse)
    maps = patches.new_zeros(len(aims), tokens.count)
    maps[:, tokens.vit.prefix :] = patches
    return Maps(maps[:, None, None].to(tokens.before(1).dtype), label, None, has_heads=False, signed=True)


def ablated(
    tokens: Tokens,
    aims: Aims,
    tick: Tick,
    *,
    group: int = 1,
    coarse: int | None = None,
    forward: Forward = features_of_tokens,
) -> Tensor:
    """[P, n] float64: S of :func:`tam`, without the prefix tokens.

    Args:
        forward: gives the features without some tokens, one batch at a time. Whoever shares the model with others may
            take its lock there, and let it go between batches.
    """
    removal = _Removal(tokens, aims, tick, forward)
    windows = _windows(tokens, coarse or group, "coarse" if coarse else "group")
    return removal.drops(windows).T @ windows.double() if coarse is None else _coarse_to_fine(removal, windows)


def _windows(tokens: Tokens, side: int, knob: str) -> Tensor:
    """The grid cut into ``side`` x ``side`` windows, from the top left: [W, n] bool, every patch in one window."""
    height, width = tokens.grid
    if side >= max(height, width):
        raise KnobError(
            f"{knob}={side} removes all of the {height} x {width} patches at once, which leaves nothing to look at; "
            "use smaller windows, or encode the image at a larger size"
        )
    device = tokens.before(1).device
    row, column = torch.arange(height, device=device) // side, torch.arange(width, device=device) // side
    window = (row[:, None] * (width // side + 1) + column).flatten().unique(return_inverse=True)[1]
    return window == torch.arange(int(window.max()) + 1, device=device)[:, None]


def _coarse_to_fine(removal: _Removal, windows: Tensor) -> Tensor:
    """[P, n]: every window's drop shared out among its patches; in the windows that matter most, each patch's own."""
    refined = -(-len(windows) // _REFINED)
    sizes = windows.sum(1)
    removal.expect(min(refined * int(sizes.max()) * len(removal.aims), windows.shape[1]))
    shared = removal.drops(windows) / sizes[:, None]  # [W, P]
    chosen = torch.zeros_like(shared, dtype=torch.bool).scatter_(0, shared.abs().topk(refined, 0).indices, True)
    fine = (chosen.T.double() @ windows.double()).bool()  # [P, n], each target's own
    patches = shared.T @ windows.double()
    singles = fine.any(0).nonzero()[:, 0]
    own = patches.clone()
    own[:, singles] = removal.drops(torch.eye(windows.shape[1], dtype=torch.bool, device=windows.device)[singles]).T
    return torch.where(fine, own, patches)


class _Removal:
    """Forwards of one image with patches removed, in batches, counted for the progress."""

    def __init__(self, tokens: Tokens, aims: Aims, tick: Tick, forward: Forward):
        self.tokens, self.aims, self._tick, self._forward = tokens, aims, tick, forward
        self._whole: Tensor | None = None
        self._done, self._expected = 0, 0  # batches, removals
        self._batch = batch_size(tokens.vit, tokens.grid)

    def expect(self, removals: int) -> None:
        """At most so many removals come after the next ones."""
        self._expected = removals

    def drops(self, removed: Tensor) -> Tensor:
        """s(all) - s(without the patches ``removed`` [M, n] bool): [M, P] float64."""
        keep = ~removed
        keep = torch.cat([keep.new_ones(len(keep), self.tokens.vit.prefix), keep], 1)
        if self._whole is None:  # replayed like the others, so that equal roundings cancel
            keep = torch.cat([torch.ones_like(keep[:1]), keep])
        batches = keep.split(self._batch)
        total = self._done + len(batches) - (-self._expected // self._batch)
        scores = torch.cat([self._scores(batch, total) for batch in batches])
        self._expected = 0
        if self._whole is None:
            self._whole, scores = scores[0], scores[1:]
        return self._whole - scores

    def _scores(self, keep: Tensor, total: int) -> Tensor:
        """[M, P] float64 for the key masks [M, N] of one batch, of ``total``."""
        depth, done = self.tokens.depth, self._done

        def tick(block: int, _blocks: int) -> None:
            self._tick(done * depth + block, total * depth)

        features = self._forward(self.tokens, keep=keep, tick=tick)
        self._done += 1
        return self.aims(features.double()[:, None])
