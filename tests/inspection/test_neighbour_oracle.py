"""Neighbours by looking at every pair; and what a right answer has no part in."""

from __future__ import annotations

import numpy as np
import pytest

from legrad_widget.inspection import Inspection
from tests.inspection import world


@pytest.fixture(scope="module")
def given():
    """Sixty samples of four classes with made-up logits and embeddings."""
    draw = np.random.default_rng(1)
    labels, vectors = draw.integers(0, 4, 60), draw.standard_normal((60, 6)).astype(np.float16).astype(np.float64)
    logits = draw.standard_normal((60, 7)) + 1.5 * np.eye(7)[labels]
    logits[:, 4:] = -5
    images = world.pictures(1) * 60
    return Inspection(world.classifier(), images, labels, logits=logits, embeddings=vectors, cache=False), vectors


def literal(vectors, at, among, k):
    """The k of ``among`` at the smallest angle to ``at``."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = sorted((1 - float(unit[at] @ unit[one]), one) for one in among if one != at)
    return [one for _, one in distances[:k]], [distance for distance, _ in distances[:k]]


def test_the_three_groups_are_those_of_a_search_through_all(given):
    r, vectors = given
    label, predicted = r.records["label"], r.records["predicted"]
    everyone = range(60)
    assert len(r.wrong) > 10
    for at in everyone:
        wrong = label[at] != predicted[at]
        other = predicted[at] if wrong else r.records["top"][at][1]
        groups = (
            [i for i in everyone if label[i] == predicted[i] == label[at]],
            [i for i in everyone if label[i] == predicted[i] == other],
            [
                i
                for i in everyone
                if label[i] != predicted[i] and (label[i], predicted[i]) == (label[at], predicted[at])
            ],
        )
        found = r.neighbours(at, 3)
        for nearest, distances, group in zip(
            (found.correct_true, found.correct_predicted, found.same_errors), found.distances, groups, strict=True
        ):
            expected, far = literal(vectors, at, group, 3)
            assert list(nearest) == expected
            assert distances == pytest.approx(far, abs=1e-5)


def test_disagreement_is_the_share_of_the_ten_nearest_with_another_label(given):
    r, vectors = given
    label = r.records["label"]
    for at in range(60):
        nearest, _ = literal(vectors, at, range(60), 10)
        assert r.frame.loc[at, "disagreement"] == pytest.approx(np.mean(label[nearest] != label[at]))


def test_a_right_answer_has_no_flip():
    r = world.inspected()
    right = np.setdiff1d(r.scored, r.wrong)
    assert len(right)
    for at in right.tolist():
        found = r.curve(at)
        assert (found.flip, found.flip_layer, found.flip_kind, found.lost_after) == ("", 0, "", 0)
