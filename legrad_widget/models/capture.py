"""One native forward, watched: the tokens that enter every block, kept for later questions.

Hooks live for one forward of the caller's own model, under that model's lock, and are removed in ``finally``. They
record only the thread that runs the forward. Parameters, buffers, gradients, modes and hook tables come back as found.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .view import UnsupportedModel, ViT

_Slots = list[tuple[Tensor, int] | None]

_locks: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()
_locks_guard = threading.Lock()


def lock_of(vit: ViT) -> threading.RLock:
    """The one lock of this vision tower, shared by every view of it, whatever module the view was made from."""
    with _locks_guard:
        return _locks.setdefault(vit.blocks[0].module, threading.RLock())


def fingerprint(module: nn.Module) -> int:
    """A number that changes when a weight is written or replaced (but not through ``.data``, which PyTorch hides)."""
    return hash(tuple((p.data_ptr(), p._version) for p in module.parameters()))


@contextmanager
def plain_arithmetic(device: torch.device) -> Iterator[None]:
    """No graph, no inference tensors, no autocast: whatever the caller has switched on, the numbers are the same."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Every submodule in eval mode (no dropout, no patch dropout), each put back to its own mode."""
    training = [m for m in module.modules() if m.training]
    for m in training:
        m.training = False
    try:
        yield
    finally:
        for m in training:
            m.training = True


class Tokens:
    """What one image looks like inside the model, captured from its native forward.

    Held are every block's input Z, the last output, and the input Y of every second norm: ``4 (2L + 1) N D`` bytes in
    float32. Values that prompts share (V, the MLP's slope) are added on first use while they fit into ``budget`` bytes,
    oldest out first. Nothing here carries a graph.
    """

    def __init__(self, vit: ViT, grid: tuple[int, int], blocks: list[Tensor], middles: list[Tensor], budget: int):
        self.vit, self.grid, self.budget = vit, grid, budget
        self._blocks, self._middles = blocks, middles
        self._shared: OrderedDict[tuple[str, int], Tensor] = OrderedDict()
        self._guard = threading.RLock()

    @property
    def count(self) -> int:
        """N."""
        return self._blocks[0].shape[0]

    def before(self, layer: int) -> Tensor:
        """Z^{l-1} [N, D] float32: the input of block ``layer`` (1-based)."""
        return self._blocks[layer - 1].float()

    def after(self, layer: int) -> Tensor:
        """Z^l [N, D] float32: the output of block ``layer`` (1-based)."""
        return self._blocks[layer].float()

    def middle(self, layer: int) -> Tensor:
        """Y^l [N, D] float32: the input of the second norm of block ``layer``."""
        return self._middles[layer - 1].float()

    def shared(self, name: str, layer: int, make: Callable[[], Tensor]) -> Tensor:
        """A tensor that all targets share, made once and held while it fits the budget."""
        with self._guard:
            held = self._shared.get((name, layer))
            if held is None:
                held = make()
                if _bytes(held) <= self.budget:
                    self._shared[name, layer] = held
                    while sum(map(_bytes, self._shared.values())) > self.budget:
                        self._shared.popitem(last=False)
            return held

    @property
    def nbytes(self) -> int:
        """Bytes held now: captured tokens plus the shared values."""
        return sum(map(_bytes, [*self._blocks, *self._middles, *self._shared.values()]))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def capture(vit: ViT, image: Tensor, *, budget: int = 64 << 20) -> tuple[Tokens, Tensor]:
    """Run the native forward once on ``image`` [3, Hin, Win]; give the captured tokens and the native output [...].

    Raises:
        UnsupportedModel: the forward skipped or reordered a block, or produced numbers that are not finite.
    """
    grid = (image.shape[-2] // vit.patch[0], image.shape[-1] // vit.patch[1])
    blocks: _Slots = [None] * (len(vit.blocks) + 1)
    middles: _Slots = [None] * len(vit.blocks)
    thread = threading.get_ident()

    def keep(store: _Slots, index: int) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() == thread:
                store[index] = _one_image(args[0] if args else next(iter(kwargs.values())), vit.batch_first)

        return hook

    def keep_output(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() == thread:
            blocks[-1] = _one_image(output, vit.batch_first)

    handles = []
    with lock_of(vit), evaluation_mode(vit.module), plain_arithmetic(vit.device):
        try:
            for index, block in enumerate(vit.blocks):
                handles.append(block.module.register_forward_pre_hook(keep(blocks, index), with_kwargs=True))
                handles.append(block.norm2.register_forward_pre_hook(keep(middles, index), with_kwargs=True))
            handles.append(vit.blocks[-1].module.register_forward_hook(keep_output))
            output = vit.native(image[None].to(vit.device, vit.dtype), grid)
        finally:
            for handle in handles:
                handle.remove()
    return Tokens(vit, grid, _complete(vit, blocks), _complete(vit, middles), budget), output[0]


def _one_image(tokens: Any, batch_first: bool) -> tuple[Tensor, int]:
    """[1, N, D] or [N, 1, D] -> [N, D] sharing the forward's storage, and the version that tells a later write."""
    if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.shape[0 if batch_first else 1] != 1:
        raise UnsupportedModel(
            "a block of this model does not take tokens of shape [1, N, D]; windowed, hierarchical and packed "
            f"models are not supported (arrived: {getattr(tokens, 'shape', type(tokens).__name__)})"
        )
    return (tokens[0] if batch_first else tokens[:, 0]).detach(), tokens._version


def _complete(vit: ViT, captured: _Slots) -> list[Tensor]:
    """The captured tensors: all there, unwritten since, finite. Silence is failure."""
    tokens = []
    for index, slot in enumerate(captured):
        name = vit.blocks[min(index, len(vit.blocks) - 1)].name
        if slot is None:
            raise UnsupportedModel(f"the forward of {vit.name} did not run {name}; every block must run once per image")
        tensor, version = slot
        if tensor._version != version:
            raise UnsupportedModel(f"the forward of {vit.name} overwrites the tokens at {name} in place")
        if not torch.isfinite(tensor).all():
            raise UnsupportedModel(
                f"the tokens at {name} of {vit.name} are not finite: the weights hold NaN or inf, or the image "
                f"overflows {tensor.dtype}. Load the weights again, or use dtype=torch.float32"
            )
        tokens.append(tensor)
    return tokens
