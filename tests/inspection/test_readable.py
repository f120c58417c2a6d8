"""What a cell shows of an answer: sentences with the classes' names, after saving and from the cache too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from IPython.lib.pretty import pretty

from legrad_widget.inspection import open_inspection
from legrad_widget.inspection.embedding_neighbours import Neighbours
from tests.inspection import world


@pytest.fixture(scope="module")
def r():
    return world.inspected()


def shown(answer):
    """What a notebook shows, which is what print() writes."""
    assert pretty(answer) == str(answer)
    return str(answer)


def test_a_flip_set_says_what_becomes_of_the_answer(r, tmp_path):
    at = int(r.wrong[0])
    found = r.flip_set(at)
    assert found.found
    before, after = world.NAMES[found.before], world.NAMES[found.after]
    says = shown(found)
    assert says.startswith(f"Without {found.size} patch")
    assert f"along the map attention_gradient, {before} becomes {after}" in says
    assert f"as many random ones change the answer in {found.random_flips:.0%} of 8 tries" in says
    assert says.endswith(", ".join(f"({row}, {column})" for row, column in found.patches))
    r.save(tmp_path / "saved")
    assert shown(open_inspection(tmp_path / "saved").flip_set(at)) == says


def test_a_flip_set_from_the_cache_has_names_too(tmp_path):
    first = world.inspected(cache=tmp_path)
    at = int(first.wrong[0])
    first.find_flip_sets([at])
    again = world.inspected(cache=tmp_path)
    again.find_flip_sets([at])
    assert shown(again.flip_sets[at]) == shown(first.flip_sets[at])
    assert world.NAMES[first.flip_sets[at].before] in str(again.flip_sets[at])


def test_where_there_is_none_that_is_said(r):
    found = r.flip_set(int(r.wrong[0]))
    none = replace(found, removed=np.zeros_like(found.removed), prefix=0, after=found.before)
    assert shown(none) == (
        f"No set of patches along the map attention_gradient changes {world.NAMES[found.before]} "
        f"({found.forwards} forwards)."
    )
    assert shown(replace(none, names=(), overlay=None)).startswith(f"No set of patches changes class {found.before} ")


def test_evidence_says_of_what_it_is(r):
    at = int(r.wrong[0])
    true, predicted = r.frame.loc[at, ["label", "predicted"]]
    says = shown(r.contrast(at))
    assert says.startswith(
        f"What spoke for {predicted} over {true}, and the reverse, by attention_gradient: 3 layers of"
    )
    assert "not signed" in shown(r.contrast(at, "legrad"))


def test_neighbours_are_listed_under_their_classes(r):
    at = int(r.wrong[0])
    true, predicted = r.frame.loc[at, ["label", "predicted"]]
    found = Neighbours((3, 5), (), (7,), ((0.1, 0.25), (), (0.5,)), (true, predicted))
    assert r.neighbours(at).names == found.names
    assert shown(found).splitlines() == [
        "Nearest samples (cosine distance)",
        f"  right, of {true}: 3 (0.100), 5 (0.250)",
        f"  right, of {predicted}: none",
        "  the same mistake: 7 (0.500)",
    ]


def test_groups_are_a_table(r):
    assert shown(r.clusters(2)).startswith("2 clusters of ")
