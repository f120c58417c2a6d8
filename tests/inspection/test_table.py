"""The table, its sort keys, the confusion, neighbours, and marks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from legrad_widget.inspection import SORT_KEYS, InspectionError
from legrad_widget.inspection.embedding_neighbours import disagreement, nearest
from tests.inspection import world


@pytest.fixture
def r():
    return world.inspected(24)


def test_a_row_per_sample_and_names_for_classes(r):
    rows = r.frame
    assert rows.index.tolist() == list(range(24))
    assert rows["label"].tolist() == [world.NAMES[i] for i in world.labels(24)]
    assert rows["predicted"].tolist() == [world.NAMES[i] for i in r.records["predicted"]]
    assert (rows["correct"] == (rows["label"] == rows["predicted"])).all()
    assert (rows["correct"] == (rows["margin"] > 0)).all()
    assert r.errors.index.tolist() == rows.index[~rows["correct"]].tolist()


def test_the_table_is_the_callers_own(r):
    rows = r.frame
    rows["label"] = "changed"
    assert r.frame["label"][0] == "ant"


def test_nothing_is_known_before_it_is_scored():
    from legrad_widget.inspection import Inspection

    rows = Inspection(world.classifier(), world.pictures(3), [0, 1, 2], cache=False).frame
    assert rows["status"].eq("pending").all()
    assert rows[["p_true", "loss", "margin"]].isna().all(axis=None)
    assert rows["correct"].isna().all()
    assert rows["predicted"].eq("").all()


def test_the_confusion_counts(r):
    rows = r.frame
    pairs = Counter(zip(rows["label"], rows["predicted"], strict=True))
    found = r.confusion(errors_only=False)
    assert {
        (row.true, row.predicted): row.count_ for row in found.rename(columns={"count": "count_"}).itertuples()
    } == pairs
    assert found["count"].is_monotonic_decreasing
    for row in r.confusion().itertuples():
        assert row.true != row.predicted
        assert row.share == pytest.approx(pairs[row.true, row.predicted] / (rows["label"] == row.true).sum())
        assert (
            r.cell(row.true, row.predicted).tolist()
            == rows.query("label == @row.true and predicted == @row.predicted").index.tolist()
        )
    matrix = r.confusion_matrix()
    assert all(matrix.loc[pair] == count for pair, count in pairs.items())
    assert matrix.to_numpy().sum() == 24
    assert sorted(r.cell(true="ant").tolist()) == [0, 7, 14, 21]
    assert r.cell(predicted=2).tolist() == np.flatnonzero(r.records["predicted"] == 2).tolist()


@pytest.mark.parametrize(
    "key", ["loss", "margin", "confident_errors", "near_misses", "late_losers", "entropy", "label_noise"]
)
def test_samples_are_sorted_by_what_the_key_says(r, key):
    rows, chosen = r.sorted(key), SORT_KEYS[key]
    values = rows[chosen.column].astype(float)
    assert values.is_monotonic_increasing if chosen.ascending else values.is_monotonic_decreasing
    if key in ("confident_errors", "near_misses", "late_losers"):
        assert not rows["correct"].any()
    assert set(r.sorted(key, errors_only=True).index) <= set(r.wrong)


def test_a_key_says_what_it_needs(r):
    with pytest.raises(InspectionError, match="flip_set"):
        r.sorted("flip_set")
    with pytest.raises(InspectionError, match="'loss', 'margin'"):
        r.sorted("luck")
    r.flip_set(int(r.wrong[0]), control=0)
    assert set(r.sorted("flip_set").index) <= {int(r.wrong[0])}


def test_what_given_logits_cannot_tell_is_no_order():
    logits = np.random.default_rng(0).normal(size=(12, 7))
    r = world.inspected(12, logits=logits)
    with pytest.raises(InspectionError, match="'late_losers' needs the scores of every layer"):
        r.sorted("late_losers")
    with pytest.raises(InspectionError, match="'label_noise' needs the embeddings"):
        r.sorted("label_noise")
    with pytest.raises(InspectionError, match="samples are sorted by"):
        r.sorted(["loss"])


def test_a_mask_from_the_table_goes_by_its_index(r):
    shuffled = r.sorted("loss")
    high = shuffled["loss"] > shuffled["loss"].median()
    wanted = sorted(shuffled.index[high])
    assert wanted != list(range(len(wanted)))
    assert r.rows(high).tolist() == wanted
    assert r.rows(r.errors["loss"] > 0).tolist() == r.errors.index.tolist()
    gaps = pd.Series([True, pd.NA], index=[5, 3], dtype="boolean")
    assert r.rows(gaps).tolist() == [5]
    assert r.rows(pd.Series([7, 2])).tolist() == [2, 7]


def test_rows_of_the_table_that_lost_its_index(r):
    wrong = r.errors.index.tolist()
    assert r.rows(r.errors.reset_index()).tolist() == wrong
    more = pd.DataFrame({"label": world.NAMES, "animal": True})
    assert r.rows(r.errors.reset_index().merge(more, on="label")).tolist() == wrong
    with pytest.raises(InspectionError, match="a table of booleans"):
        r.rows(r.frame[["loss"]] > 1)
    with pytest.raises(InspectionError, match="have lost"):
        r.rows(r.errors.merge(more, on="label"))


@pytest.mark.parametrize("k", [0, 1.5, "x", True])
def test_how_many_neighbours_is_a_whole_number(r, k):
    with pytest.raises(InspectionError, match="how many neighbours"):
        r.neighbours(0, k)


def test_what_became_of_a_sample_that_is_not_there(r):
    with pytest.raises(InspectionError, match="samples go from 0 to 23"):
        r.status(24)


def test_neighbours_are_the_nearest_by_angle(r):
    at = int(r.wrong[0])
    found = r.neighbours(at, 3)
    vectors = r.records["embedding"].astype(float)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = 1 - units @ units[at]
    label, predicted = r.records["label"], r.records["predicted"]
    right = label == predicted

    def literal(keep):
        among = [i for i in range(24) if keep[i] and i != at]
        return sorted(among, key=lambda i: distances[i])[:3]

    assert list(found.correct_true) == literal(right & (label == label[at]))
    assert list(found.correct_predicted) == literal(right & (label == predicted[at]))
    assert list(found.same_errors) == literal((label == label[at]) & (predicted == predicted[at]))
    assert np.allclose(found.distances[0], distances[list(found.correct_true)], atol=1e-5)


def test_suspect_labels_are_those_that_their_neighbours_contradict():
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([rng.normal([5, 0], 0.1, (20, 2)), rng.normal([0, 5], 0.1, (20, 2))])
    labels = np.array([0] * 20 + [1] * 20)
    labels[7] = 1  # a wrong label
    found = disagreement(embeddings, labels)
    assert found.argmax() == 7
    assert found[7] == 1.0
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    for at in range(40):
        others = sorted((i for i in range(40) if i != at), key=lambda i: -units[i] @ units[at])[:10]
        assert found[at] == pytest.approx(np.mean(labels[others] != labels[at]))
    assert np.isnan(disagreement(embeddings[:1], labels[:1])).all()


def test_nobody_near_is_an_empty_answer():
    places, distances = nearest(np.ones((3, 2)), 0, np.array([0]), 4)
    assert len(places) == len(distances) == 0


@pytest.mark.parametrize(
    "where",
    [
        [1, 5],
        np.array([1, 5]),
        lambda r: r.frame.loc[[5, 1]],
        lambda r: np.isin(np.arange(24), [1, 5]),
        lambda r: r.frame.index.isin([1, 5]),
        lambda r: pd.Series(np.isin(np.arange(24), [1, 5])),
        "label_index == 1 and loss == loss and sample in (1,) or sample == 5",
    ],
    ids=["list", "array", "rows", "mask", "index", "series", "query"],
)
def test_rows_are_chosen_in_many_ways(r, where):
    assert r.rows(where(r) if callable(where) else where).tolist() == [1, 5]


@pytest.mark.parametrize("where", [[24], [-1], "no such column > 3", "loss +", [True, False], [1.5], object(), "1 + 1"])
def test_rows_that_cannot_be_are_told(r, where):
    with pytest.raises(InspectionError):
        r.rows(where)


def test_tags_and_notes(r):
    r.selected = r.errors
    r.tag("snow")
    assert r.tagged("snow").tolist() == r.wrong.tolist()
    r.tag("small", where=[0, 3])
    r.tag("small", where=[3])
    r.untag("snow", where=[3])
    assert "small" in r.frame["tags"][3]
    assert r.frame["tags"][3].count("small") == 1
    assert 3 not in r.tagged("snow")
    r.note(3, "<b>cut off</b>")
    assert r.frame["note"][3] == "<b>cut off</b>"
    assert r.selected.index.tolist() == r.wrong.tolist()
    assert r.query("tags.str.contains('snow')").index.tolist() == r.tagged("snow").tolist()


@pytest.mark.parametrize("name", ["", "  ", "a,b", "x" * 81, 3])
def test_a_tag_is_a_word(r, name):
    with pytest.raises(InspectionError, match="a tag is"):
        r.tag(name, where=[0])


def test_nothing_is_tagged_in_silence(r):
    with pytest.raises(InspectionError, match="no sample is chosen"):
        r.tag("snow")


def test_the_words_of_an_inspection(r):
    assert f"{len(r.wrong)} of 24 samples wrong" in repr(r)
    assert len(r) == 24
