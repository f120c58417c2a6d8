"""The sweep over timm's list, run by ``make sweep``: it takes minutes. What it found is kept in models/SUPPORTED.md."""

from __future__ import annotations

from collections import Counter

import pytest
import timm
import torch

import legrad_widget as lw
from legrad_widget.models import families
from tests.models import sweep
from tests.specimens import shaken

pytestmark = [pytest.mark.sweep, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def outcomes():
    return [sweep.outcome(entry) for entry in sweep.entries()]


def test_every_vit_is_explained_exactly_or_refused_with_the_reason(outcomes):
    supported = [o for o in outcomes if not o.why]
    assert len(outcomes) >= 380
    assert len(supported) >= 270
    assert all(o.readout in ("cls", "mean", "attention") for o in supported)
    assert {o.readout for o in supported} == {"cls", "mean", "attention"}
    timms = {f.__name__.rpartition(".")[2] for f in families() if ".from_timm" in f.__name__}
    assert {o.family for o in supported} == timms


def test_what_is_refused_has_a_reason_of_its_kind(outcomes):
    kinds = Counter(o.entry.kind.__name__ for o in outcomes if o.why)
    assert set(kinds) >= {"Cait", "ConVit", "CrossVit", "TNT", "Twins", "Xcit", "Hiera", "VisionTransformerSAM"}
    for o in outcomes:
        if o.why:
            assert "does something that its parts do not tell" not in o.why, o


def test_the_table_is_what_the_sweep_finds(outcomes):
    kept = sweep.TABLE.read_text(encoding="utf-8")
    if f"timm {timm.__version__}," not in kept:
        pytest.skip("the table is of another version of timm")
    assert kept == sweep.table(outcomes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_giant_patch14_reg4_dinov2", {"img_size": 224}),
        ("eva_giant_patch14_224", {}),
        ("vit_so400m_patch14_siglip_224", {}),
    ],
)
def test_a_giant_at_full_size_in_bfloat16(name, options):
    torch.set_default_dtype(torch.bfloat16)  # it is never held in float32
    try:
        model = shaken(timm.create_model(name, num_classes=0, **options))
    finally:
        torch.set_default_dtype(torch.float32)
    vit = lw.wrap(model).vit
    assert sum(p.numel() for p in model.parameters()) > 4e8
    assert len(vit.blocks) >= 24


def test_every_entry_of_the_sweep_is_decided_by_the_class_it_builds():
    kinds = {entry.name: entry.kind.__name__ for entry in sweep.entries()}
    assert kinds["deit3_base_patch16_224"] == "VisionTransformer"  # whatever it is called
    assert "mixer_b16_224" not in kinds
    assert "resnet50" not in kinds
