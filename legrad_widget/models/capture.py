"""One native forward, watched: the tokens that enter every block, kept for later questions.

Hooks live for one forward of the caller's own model, under that model's lock, and are removed in ``finally``. They
record only the thread that runs the forward. Parameters, buffers, gradients, modes and hook tables come back as found.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .block import Block
from .live import precise
from .view import UnsupportedModel, ViT

_Slots = list[tuple[Tensor, int] | None]
_Arguments = Mapping[str, Any]

_locks: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()
_locks_guard = threading.Lock()


def lock_of(vit: ViT) -> threading.RLock:
    """The one lock of this vision tower, shared by every view of it, whatever module the view was made from."""
    with _locks_guard:
        return _locks.setdefault(vit.blocks[0].module, threading.RLock())


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
    float32 (a Y that the native forward never shows is recomputed). Values that prompts share (V, the MLP's slope) are
    added on first use while they fit into ``budget`` bytes,
    oldest out first. Nothing here carries a graph.
    """

    def __init__(
        self,
        vit: ViT,
        grid: tuple[int, int],
        blocks: list[Tensor],
        middles: list[Tensor | None],
        arguments: list[_Arguments],
        budget: int,
    ):
        self.vit, self.grid, self.budget = vit, grid, budget
        self._blocks, self._middles = blocks, middles
        self._places = [block.at(given) for block, given in zip(vit.blocks, arguments, strict=True)]
        self._shared: OrderedDict[tuple[str, int], Tensor] = OrderedDict()
        self._guard = threading.RLock()

    @property
    def count(self) -> int:
        """N."""
        return self._blocks[0].shape[0]

    @property
    def depth(self) -> int:
        """L."""
        return len(self.vit.blocks)

    def block(self, layer: int) -> Block:
        """Block ``layer`` (1-based), with its attention bound to where this image's tokens stand."""
        return self._places[layer - 1]

    def before(self, layer: int) -> Tensor:
        """Z^{l-1} [N, D] float32 (float64 of a float64 model): the input of block ``layer`` (1-based)."""
        return precise(self._blocks[layer - 1])

    def after(self, layer: int) -> Tensor:
        """Z^l [N, D] float32: the output of block ``layer`` (1-based)."""
        return precise(self._blocks[layer])

    def middle(self, layer: int) -> Tensor:
        """Y^l [N, D] float32: what the second half of block ``layer`` starts from."""
        held = self._middles[layer - 1]
        return self.block(layer).middle(self.before(layer)) if held is None else precise(held)

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
        held = [*self._blocks, *self._middles, *self._shared.values()]
        return sum(_bytes(tensor) for tensor in held if tensor is not None)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _Watch:
    """What the hooks of one forward saw: every block's input and arguments, every Y, and the last output."""

    def __init__(self, vit: ViT):
        self.vit, self.thread = vit, threading.get_ident()
        self.blocks: _Slots = [None] * (len(vit.blocks) + 1)
        self.middles: _Slots = [None] * len(vit.blocks)
        self.arguments: list[_Arguments] = [{}] * len(vit.blocks)

    def attach(self) -> Iterator[RemovableHandle]:
        """Attach one hook after the other; each handle is given as soon as its hook is there."""
        for index, block in enumerate(self.vit.blocks):
            yield block.module.register_forward_pre_hook(self._before(self.blocks, index), with_kwargs=True)
            if block.attention.locate is not None:
                yield block.module.register_forward_pre_hook(self._arguments(index), with_kwargs=True)
            if block.middle_at is not None:
                yield block.middle_at.register_forward_pre_hook(self._before(self.middles, index), with_kwargs=True)
        yield self.vit.blocks[-1].module.register_forward_hook(self._after)

    def tokens(self, grid: tuple[int, int], budget: int) -> Tokens:
        """Everything that was seen, checked."""
        shown = [index for index, block in enumerate(self.vit.blocks) if block.middle_at is not None]
        complete = dict(zip(shown, _complete(self.vit, [self.middles[index] for index in shown]), strict=True))
        middles: list[Tensor | None] = [complete.get(index) for index in range(len(self.middles))]
        return Tokens(self.vit, grid, _complete(self.vit, self.blocks), middles, self.arguments, budget)

    def _before(self, store: _Slots, index: int) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() == self.thread:
                store[index] = _one_image(args[0] if args else next(iter(kwargs.values())), self.vit.batch_first)

        return hook

    def _arguments(self, index: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() == self.thread:
                self.arguments[index] = inspect.signature(module.forward).bind(*args, **kwargs).arguments

        return hook

    def _after(self, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() == self.thread:
            self.blocks[-1] = _one_image(output, self.vit.batch_first)


def capture(vit: ViT, image: Tensor, *, budget: int = 64 << 20) -> tuple[Tokens, Tensor]:
    """Run the native forward once on ``image`` [3, Hin, Win]; give the captured tokens and the native output [...].

    Raises:
        UnsupportedModel: the forward skipped or reordered a block, or produced numbers that are not finite.
    """
    grid = (image.shape[-2] // vit.patch[0], image.shape[-1] // vit.patch[1])
    watch, handles = _Watch(vit), []
    with lock_of(vit), evaluation_mode(vit.module), plain_arithmetic(vit.device):
        try:
            for handle in watch.attach():
                handles.append(handle)  # noqa: PERF402 - each must be known before the next hook may fail
            output = vit.native(image[None].to(vit.device, vit.dtype), grid)
        finally:
            for handle in handles:
                handle.remove()
    return watch.tokens(grid, budget), output[0]


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
