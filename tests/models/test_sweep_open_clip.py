"""The kept table of open_clip's architectures is what the sweep finds: supported exactly, or refused with a reason."""

from __future__ import annotations

import re

import pytest

from tests.models import sweep_open_clip as sweep

KEPT = dict(re.findall(r"^\| `(.+?)` \| .* \| (supported|refused: .*) \|$", sweep.TABLE.read_text(), re.MULTILINE))
SOME = ["coca_ViT-B-32", "ViT-B-16-SigLIP", "PE-Core-T-16-384", "EVA02-B-16", "ViT-H-14-CLIPA", "RN50"]


@pytest.mark.parametrize("name", SOME)
def test_one_of_each_kind_is_as_the_table_says(name):
    assert (sweep.outcome(name).why == "") == (KEPT[name] == "supported")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(sweep.names()) - set(SOME)))
def test_every_architecture_is_as_the_table_says(name):
    found = sweep.outcome(name)
    assert (f"refused: {found.why}" if found.why else "supported") == KEPT[name]


def test_the_table_has_every_architecture_and_enough_of_them_are_supported():
    assert set(KEPT) == set(sweep.names())
    assert sum(why == "supported" for why in KEPT.values()) >= 40
