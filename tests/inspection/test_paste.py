"""Patches pasted from another sample: against pictures put together by hand, and which sample they are from."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from legrad_widget.inspection.problem import InspectionError
from legrad_widget.intervention import InterventionError
from tests.inspection import world

PLACES = [(0, 1), (2, 2)]


PICTURES = [np.full((60, 60, 3), (0, 255, 0), np.uint8), *world.pictures()[1:]]


@pytest.fixture(scope="module")
def r():
    """Twelve samples. The first is taken for another class than the rest, which is its label; half of those are right,
    and the label of the others is a class without any that is right."""
    model = world.classifier()
    first, rest = (model.encode(PICTURES[at]).predictions(k=1)[0].index for at in (0, 1))
    other = next(index for index in range(7) if index not in (first, rest))
    labels = [rest, *(rest if at % 2 else other for at in range(1, 12))]
    made = world.Inspection(model, PICTURES, labels, cache=False).run(False)
    assert made.wrong.tolist() == [0, 2, 4, 6, 8, 10]
    return made


def literally(r, image, other, places):
    """Softmax of the library's own forward, in float64, on an input whose patches at ``places`` are another one's."""
    together = image.clone()
    for row, column in places:
        patch = (slice(None), slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16))
        together[patch] = other[patch]
    with torch.no_grad():
        return copy.deepcopy(r.model.module).double().eval()(together.double()[None])[0].softmax(0).numpy()


def nearest_right_one(r, at):
    """By the definition: the largest cosine among right samples of the same label."""
    records = r.records
    rows = [i for i in range(12) if i != at and records["predicted"][i] == records["label"][i] == records["label"][at]]
    units = records["embedding"] / np.linalg.norm(records["embedding"], axis=1, keepdims=True)
    return max(rows, key=lambda i: float(units[i] @ units[at]))


@pytest.mark.parametrize("donor", [None, 7])
def test_patches_are_those_of_the_donor_at_the_same_places(r, donor):
    source = nearest_right_one(r, 0) if donor is None else donor
    image, other = (r.model.encode(PICTURES[at]).image for at in (0, source))
    change = r.without(0, PLACES, "paste", donor=donor, top=7, control=3, seed=4)
    assert (change.how, change.donor, change.from_layer) == ("paste", source, None)
    assert {(int(y), int(x)) for y, x in np.argwhere(change.removed)} == set(PLACES)
    before, after = literally(r, image, other, []), literally(r, image, other, PLACES)
    assert np.abs(after - before).max() > 1e-4
    rng = np.random.default_rng(4)
    random = []
    for _ in range(3):
        chosen = [divmod(int(i), 3) for i in rng.choice(9, len(PLACES), replace=False)]
        random.append(literally(r, image, other, chosen))
    for moved in change.classes:
        assert moved.before == pytest.approx(before[moved.index], rel=1e-4)
        assert moved.after == pytest.approx(after[moved.index], rel=1e-4)
        np.testing.assert_allclose(moved.control, [one[moved.index] for one in random], rtol=1e-4)


def test_by_itself_the_control_is_eight_sets_and_the_whole_picture_may_go(r):
    change = r.without(0, np.ones((3, 3), bool), "paste", donor=7)
    assert len(change.classes[0].control) == 8
    theirs = {moved.index: moved for moved in r.without(7, PLACES, top=7).classes}
    for moved in change.classes:
        assert moved.after == pytest.approx(theirs[moved.index].before, rel=1e-4)


def test_it_costs_one_forward_for_the_donor_and_none_once_it_is_known(r, monkeypatch):
    seen = []
    hook = r.model.module.patch_embed.register_forward_hook(lambda _m, args, _o: seen.append(len(args[0])))
    try:
        r.encoding(0)
        seen.clear()
        r.without(0, PLACES, "paste", donor=9, control=3)
        assert sum(seen) == 1 + 2 + 3
        seen.clear()
        r.without(0, PLACES, "paste", donor=9, control=3)
        assert sum(seen) == 2 + 3
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict(donor=0), "sample 0 is this one itself"),
        (dict(donor=12), "samples go from 0 to 11; arrived: 12"),
        (dict(donor=7, from_layer=2), "from_layer belongs to another way than how='paste'"),
        (dict(donor=7, colour=(0, 0, 0)), "colour belongs to another way"),
        (dict(how="blur", donor=7), "donor belongs to how='paste'; arrived: how='blur', donor=7"),
        (dict(donor=7, control=-1), "control is how many"),
    ],
)
def test_refusals_are_sentences(r, options, said):
    with pytest.raises(ValueError, match=said):
        r.without(0, PLACES, **{"how": "paste", **options})
    with pytest.raises(InterventionError, match=r"'surroundings'; arrived: 'paste'; samples to paste from are"):
        r.encoding(0).without(PLACES, "paste")


def test_where_no_donor_is_to_be_found_it_says_to_name_one(r):
    with pytest.raises(InspectionError, match=r"no other sample of '.*' is right; name the sample .*: donor=3"):
        r.without(2, PLACES, "paste")
    logits = 9 * np.eye(7)[np.arange(12) % 7]
    blind = world.Inspection(r.model, PICTURES, world.labels(), logits=logits, cache=False).run(False)
    with pytest.raises(InspectionError, match=r"no embeddings: .* Or name the sample to paste from: donor=3"):
        blind.without(0, PLACES, "paste")
    assert blind.without(0, PLACES, "paste", donor=7).donor == 7
