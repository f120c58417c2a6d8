"""Clusters: features by hand, groups that are there are found, and each card's claim is tested on the model."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

import legrad_widget as lw
from legrad_widget.inspection.cluster_cards import smallest_region
from legrad_widget.inspection.evidence_features import features, plane, pooled
from legrad_widget.inspection.kmeans import grouped
from legrad_widget.inspection.problem import InspectionError
from tests import specimens
from tests.inspection import world
from tests.inspection.test_flip_set import masked_logits


def blobs(centres, each=8, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(centre, 0.1, (each, 3)) for centre in centres])


def test_groups_that_are_there_are_found_the_largest_first():
    points = np.concatenate([blobs([0]), blobs([5], 20), blobs([10], 12)])
    numbers, silhouette = grouped(points)
    assert [Counter(part.tolist()).most_common()[0] for part in np.split(numbers, [8, 28])] == [
        (2, 8),
        (0, 20),
        (1, 12),
    ]
    assert silhouette == pytest.approx(silhouette_score(points, numbers))
    assert silhouette > 0.9


def test_k_is_taken_as_it_is_and_the_seed_decides():
    points = blobs([0, 5, 10])
    assert len(set(grouped(points, 5)[0])) == 5
    assert np.array_equal(grouped(points, 5, seed=3)[0], grouped(points, 5, seed=3)[0])
    assert (grouped(points, 1)[0] == 0).all()


def test_somebody_may_cancel_between_the_numbers_of_clusters_that_are_tried():
    called = []
    grouped(blobs([0, 5, 10], 4), between=lambda: called.append(1))
    assert len(called) == 10  # 2 to 11 of 12 points


@pytest.mark.parametrize("k", [0, 25, 2.0, True])
def test_another_k_is_refused(k):
    with pytest.raises(InspectionError, match="from 1 to 24"):
        grouped(blobs([0, 5, 10]), k)


def test_equal_points_are_one_cluster():
    numbers, silhouette = grouped(np.ones((6, 3)))
    assert (numbers == 0).all()
    assert np.isnan(silhouette)


def test_maps_are_pooled_by_area():
    maps = np.random.default_rng(0).random((2, 14, 21))
    assert np.allclose(pooled(maps), maps.reshape(2, 7, 2, 7, 3).mean((2, 4)))
    small = np.random.default_rng(0).random((2, 3, 5))
    assert np.allclose(pooled(small), small)
    eight = np.random.default_rng(0).random((1, 8, 8))
    fine = eight.repeat(7, 1).repeat(7, 2).reshape(1, 7, 8, 7, 8).mean((2, 4))
    assert np.allclose(pooled(eight), fine)


def test_each_block_of_features_has_its_weight():
    rng = np.random.default_rng(0)
    maps, layers, embeddings = rng.random((9, 3, 3)), rng.random((9, 4)), rng.random((9, 20))
    rows = features(maps, layers, embeddings, (2.0, 1.0, 0.0))
    assert np.allclose(np.linalg.norm(rows[:, :9], axis=1), 2)
    assert np.allclose(np.linalg.norm(rows[:, 9:], axis=1), 1)
    whole = features(maps, layers, embeddings)
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    centred = units - units.mean(0)
    assert np.allclose(whole[:, 13:] @ whole[:, 13:].T, centred @ centred.T)  # 8 components hold all of 9 points
    with pytest.raises(InspectionError, match="three numbers"):
        features(maps, layers, embeddings, (0.0, 0.0, 0.0))


def test_the_region_is_the_fewest_patches_with_half_the_mass():
    assert smallest_region(np.array([[4.0, 3.0], [2.0, 1.0]])).tolist() == [[True, True], [False, False]]
    assert smallest_region(np.array([[6.0, 3.0], [2.0, 1.0]])).tolist() == [[True, False], [False, False]]
    assert smallest_region(np.zeros((2, 2))).sum() == 1


@pytest.fixture(scope="module")
def carded():
    module = specimens.timm_vit()
    r = world.inspected(24, lw.wrap(module, class_names=world.NAMES))
    return module, r, r.clusters(3)


def test_every_error_is_on_one_card(carded):
    _, r, found = carded
    assert sorted(at for card in found for at in card.members) == r.wrong.tolist()
    assert [len(card) for card in found] == sorted((len(card) for card in found), reverse=True)
    for card in found:
        assert (r.frame.loc[list(card.members), "cluster"] == card.number).all()
    assert r.frame["cluster"].isna().sum() == r.total - len(r.wrong)


def test_a_card_is_what_its_members_have_in_common(carded):
    _, r, found = carded
    for card in found:
        maps = [r.contrast(at).merged()[0].astype(float) for at in card.members]
        assert np.allclose(card.mean_map, np.mean([m / m.sum() for m in maps], 0), atol=1e-6)
        rows = r.frame.loc[list(card.members)]
        pairs = Counter(zip(rows["label"], rows["predicted"], strict=True))
        assert {(a, b): n for a, b, n in card.pairs} == pairs
        assert [n for *_, n in card.pairs] == sorted(pairs.values(), reverse=True)
        curves = [r.curve(at) for at in card.members]
        margins = np.mean([c.predicted.astype(float) - c.true for c in curves], 0) / r.reliability.spread
        assert np.allclose(card.margins, margins)


def test_a_cards_claim_is_tested_on_the_model(carded):
    module, r, found = carded
    for card in found:
        flipped = [
            masked_logits(module, r.encoding(at).image, card.region, 1).argmax() != r.records["predicted"][at]
            for at in card.members
        ]
        assert card.flips == pytest.approx(np.mean(flipped))


def test_cards_without_a_test(carded):
    _, r, _ = carded
    assert all(np.isnan(card.flips) for card in r.clusters(2, test=False))


def test_regions_are_tested_when_somebody_asks(carded):
    """What grouping leaves out, asked later, is what it would have been at once; nothing else changes."""
    _, r, found = carded
    grouped_ = r.clusters(3, test=False)
    assert not grouped_.tested
    steps = []
    tested = r.check_regions(progress=lambda step, total: steps.append((step, total)))
    assert steps == [(step, len(r.wrong)) for step in range(len(r.wrong))]
    assert tested.tested
    assert r.clustered is tested
    for ours, theirs in zip(tested, found, strict=True):
        assert (ours.members, ours.flips, ours.random_flips) == (theirs.members, theirs.flips, theirs.random_flips)
    assert f"changed without its region {found[0].flips:.0%}" in str(tested)
    assert str(tested).startswith(f"3 clusters of {len(r.wrong)} errors by the map attention_gradient")


def test_members_that_the_model_itself_takes_for_something_else_are_not_counted_as_changed():
    logits = np.random.default_rng(0).standard_normal((12, 7))
    r = world.inspected(12, logits=logits)
    r.clusters(1)
    own = world.inspected(12).records["predicted"]
    (card,) = r.clustered
    agreed = [at for at in card.members if own[at] == r.records["predicted"][at]]
    assert len(agreed) < len(card.members)
    module = r.model.module
    flipped = [masked_logits(module, r.encoding(at).image, card.region, 1).argmax() != own[at] for at in agreed]
    assert card.flips == pytest.approx(np.mean(flipped)) if agreed else np.isnan(card.flips)


def test_grouping_again_asks_the_model_nothing(carded, monkeypatch):
    _, r, _ = carded
    r.clusters(3, test=False)
    monkeypatch.setattr(r, "encoding", lambda at: pytest.fail("the model was asked"))
    again = r.clusters(2, (1.0, 0.0, 0.5), test=False)
    assert (again.k, again.weights, len(again)) == (2, (1.0, 0.0, 0.5), 2)


def test_the_plane_is_that_of_the_principal_components():
    rows = np.random.default_rng(0).random((20, 5)) * [5, 3, 1, 0.1, 0.1]
    points, shown = plane(rows)
    centred = rows - rows.mean(0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(np.abs(points), np.abs(centred @ axes[:2].T), atol=1e-5)  # an axis has no sign
    assert np.allclose(shown, (sizes**2 / (sizes**2).sum())[:2])
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert (apart <= np.linalg.norm(rows[:, None] - rows[None], axis=-1) + 1e-5).all()


def test_a_plane_of_what_does_not_differ_is_flat():
    for rows in (np.ones((4, 3)), np.zeros((1, 3))):
        points, shown = plane(rows)
        assert points.shape == (len(rows), 2)
        assert not points.any()
        assert shown == (0, 0)
    points, shown = plane(np.array([[0.0], [1.0], [5.0]]))  # one feature: a line
    assert not points[:, 1].any()
    assert shown == (pytest.approx(1), 0)


def test_every_error_has_its_point(carded):
    _, r, found = carded
    assert found.rows == tuple(r.wrong.tolist())
    assert found.points.shape == (len(found.rows), 2)
    assert found.errors == len(r.wrong)
    assert 0 < sum(found.shown) <= 1 + 1e-9


def test_progress_counts_every_step_and_may_cancel():
    r, steps = world.inspected(), []
    r.clusters(2, progress=lambda step, total: steps.append((step, total)))
    count = len(r.wrong)
    assert list(dict.fromkeys(steps)) == [(step, 2 * count) for step in range(2 * count)]
    assert len(steps) == 2 * count + 1  # a word before k-means too: it may be long
    r.clustered = None

    def stop(step, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        r.clusters(progress=stop)
    assert r.clustered is None


def test_one_error_is_no_cluster():
    r = world.inspected()
    r.records["predicted"] = r.records["label"]
    with pytest.raises(InspectionError, match="there are none"):
        r.clusters()
