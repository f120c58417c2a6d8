"""One of the large towers in bfloat16: never more than one block of it in float32. The others: run the command."""

from __future__ import annotations

import sys

import pytest

from tests.bench import large_models
from tests.bench.large_models import MIB

ROOM = 96 * MIB  # activations, and what the allocator keeps; all blocks in float32 would be 1152


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; runs on Linux")
def test_legrad_holds_one_block_in_float32_at_a_time(capsys):
    m, clocked = large_models.measured_apart("ViT-L-14")
    with capsys.disabled():
        print("\n" + large_models.report(m, clocked))
    assert m.weights == 2 * m.parameters
    assert m.tokens == 2 * 257 * 1024 * (2 * 24 + 1)  # bfloat16, as the forward gave them
    assert m.explain.rise <= m.block + ROOM
    assert m.explain.flops <= 0.05 * m.encode.flops
    assert m.wrap.rise <= m.tokens + m.block + ROOM
