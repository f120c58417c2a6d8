"""Flip sets of many samples: what one call finds, found once and not again."""

from __future__ import annotations

import numpy as np
import pytest

from legrad_widget.inspection import InspectionError, open_inspection
from legrad_widget.inspection.counterfactual import flip_set
from legrad_widget.inspection.fragility import fragility, from_bytes, to_bytes
from tests.inspection import world


@pytest.fixture
def r():
    return world.inspected(12)


def test_each_is_what_is_found_for_it_alone(r):
    table = r.find_flip_sets(control=4, seed=2)
    assert sorted(table.index) == r.wrong.tolist()
    assert table.index.tolist() == r.errors.sort_values("p_pred", ascending=False, kind="stable").index.tolist()
    other = world.inspected(12)
    for at in table.index:
        alone = flip_set(other, at, control=4, seed=2)
        row = table.loc[at]
        assert (row["size"], row["share"], row["after"]) == (alone.size, alone.share, r.class_names[alone.after])
        assert row["random_flips"] == alone.random_flips or (np.isnan(row["random_flips"]) and not alone.found)
    assert r.frame.loc[r.wrong, "flip_size"].tolist() == [table.loc[at, "size"] for at in r.wrong]
    assert r.sorted("flip_set")["flip_size"].is_monotonic_increasing


def test_what_was_found_is_not_computed_again_and_a_stop_keeps_it(r, monkeypatch):
    def stop(step, total):
        if step == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        r.find_flip_sets(progress=stop)
    assert len(r.flip_sets) == 2
    before, asked = dict(r.flip_sets), []
    r.find_flip_sets(progress=lambda step, total: asked.append((step, total)))
    assert {total for _, total in asked} == {len(r.wrong) - 2}
    assert all(r.flip_sets[at] is found for at, found in before.items())
    monkeypatch.setattr(r, "encoding", lambda at: pytest.fail("the model was asked"))
    assert len(r.find_flip_sets()) == len(r.wrong)
    with pytest.raises(pytest.fail.Exception):
        r.find_flip_sets(overlay="legrad")  # another order


def test_after_a_restart_they_come_from_the_disk(tmp_path, monkeypatch):
    kept = world.inspected(12, cache=tmp_path).find_flip_sets()
    again = world.inspected(12, cache=tmp_path)
    monkeypatch.setattr(again, "encoding", lambda at: pytest.fail("the model was asked"))
    found = again.find_flip_sets()
    assert found.equals(kept)
    assert set(again.flip_sets) == set(again.wrong.tolist())


def test_an_answer_that_is_not_the_models_own_is_listed_and_the_others_are_found(r):
    odd, *others = r.wrong.tolist()
    logits = np.stack([r.scores(r.encoding(at).features[None])[1][0].numpy() for at in range(12)])
    another = next(c for c in range(7) if c not in (r.records["predicted"][odd], r.records["label"][odd]))
    logits[odd, another] = logits[odd].max() + 1
    given = world.inspected(12, logits=logits)
    assert sorted(given.find_flip_sets().index) == others
    assert given.problems["sample"].tolist() == [odd]
    assert "the given logits say" in given.problems["says"][0]


def test_it_is_summed_up_for_one_map(r):
    table = r.find_flip_sets()
    told, found = fragility(r), table[table["size"] > 0]
    assert (told.asked, told.found) == (len(table), len(found))
    assert told.median == found["size"].median()
    assert told.random == pytest.approx(found["random_flips"].mean())
    r.overlay = type(r.overlay)("legrad")
    assert fragility(r).asked == 0
    assert np.isnan(fragility(r).median)


def test_chosen_samples_and_one_that_is_gone(tmp_path):
    data = world.folder(tmp_path / "data")
    from legrad_widget.inspection import Inspection

    r = Inspection(world.classifier(), data, cache=False).run(False)
    first, second = r.wrong[:2].tolist()
    (path,) = [name for i, name in enumerate(r.samples.names) if i == second]
    (data / path).unlink()
    assert r.find_flip_sets([first, second]).index.tolist() == [first]
    assert r.problems.query("sample == @second")["kind"].tolist() == ["map"]


def test_bytes_hold_all_of_it(r):
    found = r.flip_set(int(r.wrong[0]))
    again = from_bytes(to_bytes(found))
    assert repr(again) == repr(found)
    assert np.array_equal(again.removed, found.removed)
    assert again.removed.dtype == bool


def test_without_a_model_it_says_so(r, tmp_path):
    r.save(tmp_path / "saved")
    with pytest.raises(InspectionError, match="find flip sets of"):
        open_inspection(tmp_path / "saved").find_flip_sets()
