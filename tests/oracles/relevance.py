"""LRP, literally: the library's own forward written down operation by operation, and read backwards rule by rule.

Nothing of ours: a tape of the tensor operations of a float64 forward, with attention written out. Every rule forms each
single contribution x_j w_ij. What only moves numbers about (views, slices, transposes) hands relevance back by the
adjoint of the same movement.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import timm.layers.attention
import timm.models.eva
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .native import blocks_of

aten = torch.ops.aten
Call = tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor], str]


def z(a: Tensor, b: Tensor) -> Tensor:
    """a / b as the code of the paper has it."""
    return torch.where(b == 0, torch.zeros_like(b), a / (b + 1e-9))


def linear(x: Tensor, weight: Tensor, r: Tensor, rules: str) -> Tensor:
    """R [n, in] from x [n, in], weight [out, in] and R [n, out], every contribution [n, out, in] on its own."""
    c = x[:, None, :] * weight
    groups = [c > 0] if rules == "ours" else [(c > 0) & (x[:, None, :] > 0), (c > 0) & (x[:, None, :] < 0)]
    total = torch.zeros_like(x)
    for group in groups:
        part = c * group
        total = total + torch.einsum("noi,no->ni", part, z(r, part.sum(-1)))
    return total


def add(a: Tensor, b: Tensor, r: Tensor, rules: str) -> tuple[Tensor, Tensor]:
    r_a, r_b = a * z(r, a + b), b * z(r, a + b)
    if rules == "ours":
        size = r_a.sum().abs() + r_b.sum().abs()
        shares = z(r_a.sum().abs(), size) * r.sum(), z(r_b.sum().abs(), size) * r.sum()
        r_a, r_b = r_a * z(shares[0], r_a.sum()), r_b * z(shares[1], r_b.sum())
    return r_a, r_b


def product(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Half of R [h, i, j] to each factor of a [h, i, k] @ b [h, k, j], every contribution [h, i, k, j] on its own."""
    c = a[:, :, :, None] * b[:, None] * z(r, a @ b)[:, :, None, :]
    return c.sum(3) / 2, c.sum(1) / 2


def linear_by_hand(x: Tensor, weight: Tensor, r: Tensor, rules: str) -> Tensor:
    """The rule of y = W x for one vector x [in], number by number."""
    shares = torch.zeros_like(x)
    for i in range(len(weight)):
        for signs in ((1, -1),) if rules == "ours" else ((1,), (-1,)):
            pairs = [j for j in range(len(x)) for s in signs if s * x[j] > 0 and s * weight[i, j] > 0]
            whole = sum(float(x[j] * weight[i, j]) for j in pairs)
            for j in pairs:
                shares[j] += x[j] * weight[i, j] * r[i] / (whole + 1e-9)
    return shares


def product_by_hand(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """The rule of a [i, k] @ b [k, j], number by number."""
    r_a, r_b = torch.zeros_like(a), torch.zeros_like(b)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            whole = sum(float(a[i, k] * b[k, j]) for k in range(a.shape[1]))
            for k in range(a.shape[1]):
                share = a[i, k] * b[k, j] * r[i, j] / (whole + 1e-9)
                r_a[i, k] += share / 2
                r_b[k, j] += share / 2
    return r_a, r_b


def add_by_hand(terms: list[list[float]], r: list[float], rules: str) -> list[list[float]]:
    """The rule of a sum of two lists of numbers, number by number."""
    wholes = [sum(column) for column in zip(*terms, strict=True)]
    shares = [[x * q / (y + 1e-9) if y else 0.0 for x, y, q in zip(t, wholes, r, strict=True)] for t in terms]
    if rules == "orig":
        return shares
    totals = [sum(share) for share in shares]
    size = sum(abs(t) for t in totals)
    wanted = [abs(t) / (size + 1e-9) * sum(r) for t in totals]
    return [[x * w / (t + 1e-9) for x in share] for share, w, t in zip(shares, wanted, totals, strict=True)]


@dataclass
class Tape(TorchDispatchMode):
    """Every operation on a tensor that comes from the first block's input."""

    calls: list[Call] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    kept: list[Any] = field(default_factory=list)  # so that no id is used twice
    inputs: list[Tensor] = field(default_factory=list)
    products: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # A and what A V gave
    part: str = ""
    turning: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        flat = [a for arg in args for a in (arg if isinstance(arg, list | tuple) else [arg])]
        outs = list(out) if isinstance(out, list | tuple) else [out]
        self.kept.append((flat, outs))
        if not self.turning and any(id(a) in self.known for a in flat) and func not in SIZES:
            self.known.update(id(o) for o in outs if isinstance(o, Tensor))
            self.calls.append((func, args, kwargs or {}, outs, self.part))
        return out

    def start(self, tokens: Tensor) -> None:
        if not self.inputs:
            self.known.add(id(tokens))
        self.inputs.append(tokens)

    def turned(self, rotate: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A rotation of queries or keys as one operation, which hands relevance on as it is."""

        def rotation(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            self.turning = True
            out = rotate(x, *args, **kwargs)
            self.turning = False
            self.known.add(id(out))
            self.calls.append((aten.sigmoid.default, (x,), {}, [out], ""))
            return out

        return rotation

    def attend(self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        shape, scale = q.shape[:-1], q.shape[-1] ** 0.5
        q, k, v = (x.reshape(-1, *x.shape[-2:]) for x in (q, k, v))
        self.part = "QK"
        logits = torch.bmm(q, k.transpose(1, 2))
        self.part = ""
        logits = (logits / scale).reshape(*shape, -1)
        if attn_mask is not None:
            logits = logits + attn_mask
        a = torch.softmax(logits, -1).reshape(-1, *logits.shape[-2:])
        self.part = "AV"
        o = torch.bmm(a, v)
        self.part = ""
        self.products.append((a, o))
        return o.reshape(*shape, -1)


# What is a statistic of a norm, or constant: no relevance goes there.
SIZES = {aten.pow.Tensor_Scalar, aten.linalg_vector_norm.default, aten.rsqrt.default}
SIZES |= {aten.zeros_like.default, aten.ones_like.default}
SAME = {
    aten.native_layer_norm.default, aten._softmax.default, aten._safe_softmax.default, aten.gelu.default,
    aten.silu.default, aten.sigmoid.default, aten.relu.default, aten.tanh.default,
}  # fmt: skip


@dataclass
class Relevance:
    """R of each block's input [N, D] (``before``); R_A [H, R, N] and R_O [H, R, e] of each attention, in order."""

    before: list[Tensor]
    attention: list[Tensor]
    heads: list[Tensor]


def relevance(model: nn.Module, image: Tensor, target: Tensor, *, rules: str, qk: str = "keep") -> Relevance:
    """Relevance that starts at 1 on <features, target>, for image [3, H, W]; without what is not read at all."""
    model = copy.deepcopy(model).double().eval().requires_grad_(False)
    tower = getattr(model, "visual", model)
    sequence_first = getattr(getattr(tower, "transformer", None), "batch_first", True) is False
    tape = Tape()
    handles = [b.register_forward_pre_hook(lambda _m, args: tape.start(args[0])) for b in blocks_of(tower)]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(mock.patch.object(F, "scaled_dot_product_attention", tape.attend))
        for module in (timm.models.eva, timm.layers.attention):
            for name in ("apply_rot_embed_cat", "apply_rot_embed"):
                if hasattr(module, name):
                    stack.enter_context(mock.patch.object(module, name, tape.turned(getattr(module, name))))
        stack.enter_context(tape)
        f = own_features(tower, image.double()[None])
    torch.backends.mha.set_fastpath_enabled(fast)
    for handle in handles:
        handle.remove()
    walk = Backwards(tape.known, rules, qk)
    walk.hand(f, linear(f[None], target.double()[None], torch.ones(1, 1).double(), rules)[0])
    for call in reversed(tape.calls):
        walk(call)
    read = [(a, o) for a, o in tape.products if id(a) in walk.attention]
    return Relevance(
        [walk.found[id(x)][:, 0] if sequence_first else walk.found[id(x)][0] for x in tape.inputs],
        [walk.attention[id(a)] for a, _ in read],
        [walk.found[id(o)] for _, o in read],
    )


def own_features(tower: Any, image: Tensor) -> Tensor:
    """What the library gives for an image before a classifier's head; a distilled model's tokens side by side."""
    if hasattr(tower, "dist_token"):
        x = tower.forward_features(image)
        return x[0, :2].reshape(-1)
    if hasattr(tower, "forward_head"):
        return tower.forward_head(tower.forward_features(image), pre_logits=True)[0]
    out = tower(image)
    out = out[0] if isinstance(out, tuple) else out
    return out.reshape(-1, out.shape[-1])[0]


def class_direction(model: Any, index: int) -> Tensor:
    """The row of a classifier's head; of a distilled model's two heads, whose logits are averaged."""
    if hasattr(model, "head_dist"):
        return torch.cat([model.head.weight[index], model.head_dist.weight[index]]).detach() / 2
    return model.head.weight[index].detach()


@dataclass
class Backwards:
    """Relevance of what one operation gave becomes relevance of what it took; ``found`` by the tensor's id."""

    known: set[int]
    rules: str
    qk: str
    found: dict[int, Tensor] = field(default_factory=dict)
    attention: dict[int, Tensor] = field(default_factory=dict)

    def hand(self, x: Any, amount: Tensor) -> None:
        """What several operations hand to one tensor is summed."""
        if self.comes_from_tokens(x):
            self.found[id(x)] = self.found[id(x)] + amount if id(x) in self.found else amount

    def comes_from_tokens(self, x: Any) -> bool:
        return isinstance(x, Tensor) and id(x) in self.known

    def __call__(self, call: Call) -> None:
        func, args, kwargs, outs, part = call
        if all(id(o) not in self.found for o in outs):
            return
        r, name = self.found.get(id(outs[0])), func.overloadpacket.__name__
        if part and name == "bmm":
            self.product(args, r, part)
        elif func in SAME:
            self.hand(args[0], r)
        elif name in MOVES:
            self.moved(func, args, kwargs, outs)
        else:
            getattr(self, name)(args, r)  # an operation without a rule is an error

    def product(self, args: Any, r: Tensor, part: str) -> None:
        first, second = product(args[0], args[1], r)
        if part == "AV":
            self.attention[id(args[0])] = first
        if part == "AV" and self.qk == "drop":  # queries and keys get nothing
            second = 2 * second
        else:
            self.hand(args[0], first)
        self.hand(args[1], second)

    def addmm(self, args: Any, r: Tensor) -> None:
        self.hand(args[1], linear(args[1], args[2].T, r, self.rules))

    def mm(self, args: Any, r: Tensor) -> None:
        self.hand(args[0], linear(args[0], args[1].T, r, self.rules))

    def bmm(self, args: Any, r: Tensor) -> None:
        rows = [linear(x, w.T, s, self.rules) for x, w, s in zip(*args[:2], r, strict=True)]
        self.hand(args[0], torch.stack(rows))

    def add(self, args: Any, r: Tensor) -> None:
        both = all(map(self.comes_from_tokens, args[:2]))
        for x, share in zip(args[:2], add(*args[:2], r, self.rules) if both else (r, r), strict=True):
            self.hand(x, share)

    def mul(self, args: Any, r: Tensor) -> None:
        both = all(map(self.comes_from_tokens, args[:2]))
        for x in args[:2]:
            self.hand(x, r / 2 if both else r)

    def div(self, args: Any, r: Tensor) -> None:
        self.hand(args[0], r)

    def mean(self, args: Any, r: Tensor) -> None:
        x, (dim,) = args[0], args[1]
        assert (dim, r.ndim) == (1, 2), "the mean over the tokens"
        self.hand(x, x / x.shape[1] * z(r, x.mean(1))[:, None])

    def moved(self, func: Any, args: Any, kwargs: Any, outs: list[Tensor]) -> None:
        """The adjoint of a movement: what was taken from a place goes back to it."""
        many = isinstance(args[0], list | tuple)
        given = args[0] if many else [args[0]]
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() for x in given]
            again = func(leaves if many else leaves[0], *args[1:], **kwargs)
            amounts = [self.found.get(id(o), torch.zeros_like(o)) for o in outs]
            back = torch.autograd.grad(list(again) if isinstance(again, list | tuple) else again, leaves, amounts)
        for x, amount in zip(given, back, strict=True):
            self.hand(x, amount)


# What only moves numbers about.
MOVES = {
    "view", "_unsafe_view", "reshape", "transpose", "t", "permute", "select", "slice", "unbind", "split", "chunk",
    "split_with_sizes", "clone", "contiguous", "unsqueeze", "squeeze", "expand", "cat", "alias", "detach", "_to_copy",
    "repeat_interleave", "index", "stack", "flatten", "_reshape_alias", "index_select",
}  # fmt: skip
