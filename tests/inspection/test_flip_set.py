"""Flip sets: the search on made-up functions by brute force, and on a model against its own masked forward."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.inspection.flip_set import lead_of, pruned, smallest_prefix
from legrad_widget.inspection.problem import InspectionError
from legrad_widget.inspection.removal import Removal
from tests import specimens
from tests.inspection import world
from tests.oracles import native


def needs(*groups):
    """A lead that is above 0 where all patches of one of the groups are gone."""

    def lead(removed):
        return np.array([1.0 if any(row[list(group)].all() for group in groups) else -1.0 for row in removed])

    return lead


@pytest.mark.parametrize("size", [2, 5, 64, 196])
@pytest.mark.parametrize("where", [0, 1, 0.3, 0.9, -2])
def test_the_shortest_prefix_is_found_where_the_answer_changes_once(size, where):
    order = np.random.default_rng(0).permutation(size)
    place = int(where * size) if isinstance(where, float) else where % size
    place = min(place, size - 2)  # one patch always stays
    assert smallest_prefix(order, needs([order[place]])) == place + 1


def test_no_prefix_is_told_and_the_last_patch_is_never_taken():
    asked = []

    def lead(removed):
        asked.extend(removed.sum(1).tolist())
        return np.full(len(removed), -1.0)

    assert smallest_prefix(np.arange(20), lead) == 0
    assert max(asked) == 19


def test_bisection_asks_eight_at_a_time_and_a_few_times():
    batches = []

    def lead(removed):
        batches.append(len(removed))
        return needs([120])(removed)

    assert smallest_prefix(np.arange(196), lead) == 121
    assert max(batches) <= 8
    assert len(batches) <= 4


def test_what_is_not_needed_goes_back():
    removed = np.ones(12, bool)
    assert np.flatnonzero(pruned(removed, needs([2, 5], [1, 3, 4]))).tolist() == [2, 5]
    assert np.flatnonzero(pruned(removed, needs([7]))).tolist() == [7]


def test_the_goal_says_which_change_counts():
    logits = np.array([[3.0, 1.0, 2.0], [0.0, 1.0, 2.0], [0.0, 2.0, 1.0]])
    assert lead_of(logits, 0, 1, "other").tolist() == [-1.0, 2.0, 2.0]
    assert lead_of(logits, 0, 1, "true").tolist() == [-2.0, -1.0, 1.0]


def masked_logits(module, image, removed, prefix):
    keep = torch.cat([torch.ones(prefix, dtype=torch.bool), torch.from_numpy(~removed.ravel())])
    return native.record(module, image, keep=keep).output.detach().numpy()


@pytest.mark.parametrize("goal", ["other", "true"])
def test_on_a_model_the_set_changes_the_answer_and_no_patch_of_it_can_go_back(goal):
    module = specimens.timm_vit()
    model = lw.wrap(module, class_names=world.NAMES)
    r = world.inspected(12, model)
    found = 0
    for at in r.wrong.tolist():
        flip = r.flip_set(at, goal=goal, control=0)
        predicted, label = r.pair(at)
        image = model.encode(world.pictures()[at]).image
        order = np.argsort(-r.contrast(at).difference().ravel(), kind="stable")
        if not flip.found:
            assert (flip.size, flip.after) == (0, predicted)
            continue
        found += 1
        assert set(np.flatnonzero(flip.removed)) <= set(order[: flip.prefix])
        logits = masked_logits(module, image, flip.removed, model.vit.prefix)
        assert logits.argmax() == flip.after != predicted
        assert goal == "other" or flip.after == label
        for row, column in flip.patches:
            less = flip.removed.copy()
            less[row, column] = False
            answer = masked_logits(module, image, less, model.vit.prefix).argmax()
            assert answer == predicted if goal == "other" else answer != label
        assert r.frame.loc[at, "flip_size"] == flip.size
    assert found >= 2


def test_the_random_control_is_the_share_of_equally_large_sets():
    r = world.inspected()
    at = next(int(at) for at in r.wrong if r.flip_set(int(at), control=0).found)
    flip = r.flip_set(at, control=84)
    sets = list(itertools.combinations(range(9), flip.size))
    masks = np.zeros((len(sets), 9), bool)
    for mask, places in zip(masks, sets, strict=True):
        mask[list(places)] = True
    every = (Removal(r.encoding(at), r.scores).logits(masks).argmax(1) != r.pair(at)[0]).mean()
    assert abs(flip.random_flips - every) < 0.2
    assert flip.control == 84


def test_progress_may_cancel():
    r = world.inspected()

    def progress(step, total):
        assert step < total
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        r.flip_set(int(r.wrong[0]), progress=progress)
    assert "flip_size" not in r.frame


@pytest.mark.parametrize("options", [{"goal": "none"}, {"control": -1}, {"control": 1.5}])
def test_arguments_that_cannot_be(options):
    r = world.inspected()
    with pytest.raises(InspectionError, match=r"goal is|control is"):
        r.flip_set(int(r.wrong[0]), **options)


def test_without_is_the_explorers_own():
    r = world.inspected()
    at = int(r.wrong[0])
    ours = r.without(at, [(0, 1), (2, 2)])
    theirs = r.model.encode(world.pictures()[at]).without([(0, 1), (2, 2)], control=8)
    assert [c.after for c in ours.classes] == pytest.approx([c.after for c in theirs.classes])
    assert len(ours.classes[0].control) == 8
