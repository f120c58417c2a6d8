"""The caller's model comes back bit-identical: after a call, an error, a cancel, and while other threads use it."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn

import legrad_widget as lw
from tests import specimens

HOOK_TABLES = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks_with_kwargs",
    "_state_dict_hooks",
)


def fingerprint(module: nn.Module, image: torch.Tensor) -> dict:
    """Everything that a careless tool could change."""
    rng = torch.get_rng_state()
    with torch.no_grad():
        was = [m.training for m in module.modules()]
        output = copy.deepcopy(module).eval()
        output = (output.visual if hasattr(output, "visual") else output)(image[None])
    torch.set_rng_state(rng)
    return {
        "state": {k: v.clone() for k, v in module.state_dict().items()},
        "addresses": [p.data_ptr() for p in module.parameters()],
        "training": was,
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "grad": [None if p.grad is None else p.grad.clone() for p in module.parameters()],
        "hooks": [len(getattr(m, t, ())) for m in module.modules() for t in HOOK_TABLES],
        "attributes": [sorted(vars(m)) for m in module.modules()],
        "strict": getattr(getattr(module, "patch_embed", None), "strict_img_size", None),
        "output": output,
        "rng": rng,
        "grad_mode": torch.is_grad_enabled(),
    }


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.fixture(params=["clip-patch-dropout", "timm-gap-norm-before", "timm-dynamic-size", "deit-distilled"])
def module(request):
    """In train mode with one frozen part, one eval part and gradients: nothing to be tidied up for the user."""
    module = specimens.ALL[request.param]().train()
    for p in list(module.parameters())[::3]:
        p.requires_grad_(False)
    for p in list(module.parameters())[1::3]:
        p.grad = torch.ones_like(p)
    next(m for m in module.modules() if isinstance(m, nn.LayerNorm)).eval()
    return module


def test_everything_is_as_found_after_use(module):
    image = torch.randn(3, specimens.SIDE, specimens.SIDE)
    before = fingerprint(module, image)
    model = lw.wrap(module)
    targets = specimens.directions(model.vit.features)
    for size in (None, (32, 80)):
        encoding = model.encode(specimens.picture(), size=size)
        for method in lw.list_methods():
            encoding.explain(targets, method.name)
        encoding.explain(targets, pool="mean")
    after = fingerprint(module, image)
    assert [k for k in before if not same(before[k], after[k])] == []


def test_everything_is_as_found_after_an_error_inside_the_forward(module):
    image = torch.randn(3, specimens.SIDE, specimens.SIDE)
    model = lw.wrap(module)
    block = model.vit.blocks[1].module

    def explode(*_):
        raise RuntimeError("from the user's own hook")

    handle = block.register_forward_hook(explode)
    before = fingerprint_without_output(module)
    for size in (None, (32, 80)):
        with pytest.raises(RuntimeError, match="own hook"):
            model.encode(specimens.picture(), size=size)
    assert same(before, fingerprint_without_output(module))
    handle.remove()
    assert np.isfinite(model.encode(image).explain(specimens.directions(model.vit.features)[0]).maps).all()


def fingerprint_without_output(module):
    return _quick(module)


def _quick(module):
    return {
        "state": dict(module.state_dict()),
        "training": [m.training for m in module.modules()],
        "hooks": [len(getattr(m, t, ())) for m in module.modules() for t in HOOK_TABLES],
        "strict": getattr(getattr(module, "patch_embed", None), "strict_img_size", None),
    }


def test_everything_is_as_found_after_a_cancel(module):
    class Cancelled(Exception):
        pass

    def cancel(step, total):
        if step >= 1 or total == 1:  # well inside, where there are steps
            raise Cancelled

    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    before, held = _quick(module), encoding.nbytes
    target = specimens.directions(model.vit.features)[0]
    for method in lw.list_methods():
        with pytest.raises(Cancelled):
            encoding.explain(target, method.name, progress=cancel)
    assert same(before, _quick(module))
    assert encoding.nbytes <= held + encoding.tokens.budget
    assert model.lock.acquire(blocking=False)
    model.lock.release()
    assert np.isfinite(encoding.explain(target).maps).all()


def test_a_forward_of_another_thread_is_not_recorded():
    module = specimens.timm_vit()
    model = lw.wrap(module)
    image, other = torch.randn(3, 48, 48), torch.randn(1, 3, 48, 48)
    target = specimens.directions(model.vit.features)[0]
    alone = model.encode(image).explain(target).maps
    stop = threading.Event()

    def forwards():
        while not stop.is_set():
            with torch.no_grad():
                module(other)

    thread = threading.Thread(target=forwards)
    thread.start()
    try:
        for _ in range(10):
            np.testing.assert_array_equal(model.encode(image).explain(target).maps, alone)
    finally:
        stop.set()
        thread.join()


def test_weights_are_read_live():
    module = specimens.timm_vit()
    model = lw.wrap(module)
    before = model.encode(specimens.picture()).explain(1).maps
    with torch.no_grad():
        module.blocks[0].attn.qkv.weight.mul_(1.5)
    after = model.encode(specimens.picture()).explain(1).maps
    fresh = lw.wrap(module).encode(specimens.picture()).explain(1).maps
    assert np.abs(after - before).max() > 1e-4 * np.abs(before).max()
    np.testing.assert_array_equal(after, fresh)


@pytest.mark.parametrize(
    "context", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_the_callers_grad_mode_and_autocast_change_nothing_in_the_attribution(context):
    model = lw.wrap(specimens.timm_vit())
    encoding = model.encode(specimens.picture())
    expected = encoding.explain(2, pool="mean").maps
    with context():
        np.testing.assert_array_equal(encoding.explain(2, pool="mean").maps, expected)
        assert np.isfinite(model.encode(specimens.picture()).explain(2).maps).all()


def test_weights_that_change_after_encoding_are_noticed():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())
    encoding.explain(1)
    with torch.no_grad():
        module.blocks[0].mlp.fc1.weight.mul_(1.1)
    with pytest.raises(lw.StaleEncoding, match="encode it again"):
        encoding.explain(1)


def test_prompts_are_encoded_again_after_the_text_tower_changed():
    import open_clip

    module = specimens.clip()
    model = lw.wrap(module, tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    before = model.text(["a cat"])
    assert torch.equal(model.text(["a cat"]), before)
    with torch.no_grad():
        module.token_embedding.weight.mul_(-1)
    assert not torch.allclose(model.text(["a cat"]), before)


def test_two_views_of_one_tower_share_their_lock():
    module = specimens.clip()
    assert lw.wrap(module).lock is lw.wrap(module.visual).lock
