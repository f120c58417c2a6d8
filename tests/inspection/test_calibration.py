"""Calibration: figures against loops over exact ablation, and the winner becomes the overlay."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.stats import spearmanr

import legrad_widget as lw
from legrad_widget.inspection import calibration
from legrad_widget.inspection.ablation import ablation as ablated
from legrad_widget.inspection.evidence import Overlay
from legrad_widget.inspection.overlap import alignment
from legrad_widget.inspection.problem import InspectionError
from legrad_widget.method import tam
from legrad_widget.target import Class, Contrast
from tests import specimens
from tests.inspection import world
from tests.inspection.test_flip_set import masked_logits

OVERLAYS = [Overlay("attention_gradient"), Overlay("legrad"), Overlay("legrad", "equal"), Overlay("rollout")]


@pytest.fixture(scope="module")
def measured():
    module = specimens.timm_vit()
    r = world.inspected(12, lw.wrap(module, class_names=world.NAMES))
    return module, r, r.calibrate(5, OVERLAYS, show=False)


def ablation(module, r, at):
    """What each patch takes away from the margin, one forward of the library's own model each."""
    image = r.encoding(at).image
    predicted, label = r.pair(at)

    def margin(removed):
        logits = masked_logits(module, image, removed, 1)
        return logits[predicted] - logits[label], logits.argmax() != predicted

    whole, _ = margin(np.zeros((3, 3), bool))
    drops = []
    for place in range(9):
        removed = np.zeros(9, bool)
        removed[place] = True
        drops.append(whole - margin(removed)[0])
    return np.array(drops), margin


def test_the_figures_are_those_of_a_loop(measured):
    module, r, found = measured
    assert len(found.samples) == 5
    assert set(found.samples) <= set(r.wrong.tolist())
    for overlay in OVERLAYS[:3]:
        rows = []
        for at in found.samples:
            drops, margin = ablation(module, r, at)
            map_ = r.contrast(at, overlay).difference().ravel()
            order = np.argsort(-map_, kind="stable")
            sizes = [k for k in range(1, 9) if margin(np.isin(np.arange(9), order[:k]))[1]]
            rows.append(
                (
                    drops[order[:3]].sum() / np.sort(drops)[-3:].sum(),
                    spearmanr(map_, drops).statistic,
                    order[0] == drops.argmax(),
                    drops.argmax() in order[:3],
                    sizes[0] if sizes else 9,  # nine patches: every length is tried
                    not sizes,
                )
            )
        columns = list(zip(*rows, strict=True))
        row = found.frame.loc[overlay.label]
        assert row["captured"] == pytest.approx(np.mean(columns[0]), abs=1e-4)
        assert row["rank_correlation"] == pytest.approx(np.mean(columns[1]), abs=1e-6)
        assert row["top_patch"] == pytest.approx(np.mean(columns[2]))
        assert row["top3"] == pytest.approx(np.mean(columns[3]))
        assert row["flip_size"] == pytest.approx(np.median(columns[4]))
        assert row["not_flipped"] == pytest.approx(np.mean(columns[5]))
        assert np.isnan(row["mask_precision"])


def test_ablation_itself_is_the_bound(measured):
    _, _, found = measured
    exact = found.frame.iloc[-1]
    assert exact.name == "(exact ablation)"
    assert exact[["captured", "rank_correlation", "top_patch", "top3"]].tolist() == [1, 1, 1, 1]
    assert (found.frame["captured"] <= 1 + 1e-9).all()


def test_the_winner_becomes_the_overlay(measured):
    _, r, found = measured
    assert r.overlay == found.best == found.overlays[0]
    ranked = found.frame["rank_correlation"].iloc[:-1]
    assert ranked.is_monotonic_decreasing
    assert found.best.label == ranked.index[0]
    assert r.calibrate(5, OVERLAYS, by="flip_size", show=False).frame["flip_size"].iloc[:-1].is_monotonic_increasing


def test_the_table_is_printed(capsys):
    r = world.inspected()
    r.calibrate(2, ["legrad", "rollout"], flips=False)
    said = capsys.readouterr().out
    assert "legrad" in said
    assert "ranked by rank_correlation" in said


def test_few_errors_are_filled_up_with_the_least_certain_right_answers():
    r = world.inspected()
    found = r.calibrate(12, ["legrad"], flips=False, show=False)
    right = np.setdiff1d(r.scored, r.wrong)
    assert sorted(found.samples) == list(range(12))
    assert found.samples[-len(right) :] == tuple(sorted(right.tolist(), key=lambda at: r.records["margin"][at]))


def test_masks_are_measured_too():
    mask = np.zeros((60, 60), bool)
    mask[:20] = True
    r = world.inspected(masks=[mask] * 12)
    row = r.calibrate(3, ["legrad"], flips=False, show=False).frame.loc["legrad"]
    values = [precision_of(r, at) for at in r.calibrated.samples]
    assert row["mask_precision"] == pytest.approx(np.mean(values))


def precision_of(r, at):
    return alignment(r.contrast(at, "legrad").merged()[1], r.mask_share(at)).average_precision


def test_cancelling_leaves_the_overlay():
    r = world.inspected()

    def progress(step, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        r.calibrate(3, progress=progress)
    assert r.overlay == Overlay()
    assert r.calibrated is None


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 2.5}, {"by": "luck"}, {"n": 2, "overlays": []}])
def test_arguments_that_cannot_be(options):
    with pytest.raises(InspectionError, match=r"n is|ranked by|none of these"):
        world.inspected().calibrate(**{"n": 2, **options})


def test_methods_that_the_model_refuses_are_left_out():
    r = world.inspected(6, lw.wrap(specimens.timm_vit(global_pool="avg", class_token=False), class_names=world.NAMES))
    found = r.calibrate(2, flips=False, show=False)
    refused = [m.name for m in lw.list_methods() if m.refuses(r.model.vit)]
    assert not {overlay.method for overlay in found.overlays} & set(refused)


@pytest.mark.parametrize("model", [world.classifier, world.clip])
@pytest.mark.parametrize("coarse", [None, 2])
def test_ablation_in_batches_is_tam_to_the_bit_with_the_model_free_between_them(monkeypatch, model, coarse):
    monkeypatch.setattr(tam, "batch_size", lambda vit, grid: 2)
    r = world.inspected(4, model(), class_names=world.NAMES)
    at = int(r.wrong[0])
    predicted, rival = r.pair(at)
    free: list[bool] = []

    def try_to_take(lock):
        free.append(lock.acquire(timeout=5))
        lock.release()

    def between():
        for lock in (r.model.lock, r.lock, r._encoding):
            asked = threading.Thread(target=try_to_take, args=(lock,))
            asked.start()
            asked.join()

    expected = r.encoding(at).explain(Contrast(Class(predicted), Class(rival)), "tam", coarse=coarse).maps[0]
    assert np.array_equal(ablated(r, at, coarse, between), expected.astype(np.float64))
    assert len(free) >= 9  # a batch of two for nine patches, and three locks each
    assert all(free)


def test_given_logits_that_are_not_the_models_are_no_answer_to_change():
    model = world.classifier()
    plain = world.inspected(6, model)
    at = int(plain.wrong[0])
    says = plain.pair(at)[0]
    other = (says + 1) % 7 if (says + 1) % 7 != world.labels()[at] else (says + 2) % 7
    logits = np.zeros((6, 7), np.float32)
    logits[:, other] = 5
    r = world.inspected(6, model, logits=logits)
    with pytest.raises(InspectionError, match=f"given logits say '{world.NAMES[other]}'.*itself '{world.NAMES[says]}'"):
        r.flip_set(at)
    logits[:, says] = 9
    same = world.inspected(6, model, logits=logits)
    assert np.array_equal(same.flip_set(at).removed, plain.flip_set(at).removed)


def test_samples_that_the_model_answers_otherwise_are_left_out_of_the_measure():
    model = world.classifier()
    plain = world.inspected(6, model)
    logits = np.stack([9 * np.eye(7)[plain.records["predicted"][at]] for at in range(6)]).astype(np.float32)
    changed = int(plain.wrong[0])
    free = [c for c in range(7) if c not in plain.pair(changed)]
    logits[changed] = 9 * np.eye(7)[free[0]]
    r = world.inspected(6, model, logits=logits)
    found = r.calibrate(6, ["legrad"], flips=False, show=False)
    assert changed in r.wrong
    assert changed not in found.samples
    assert len(found.samples) == 5


def test_a_map_without_a_value_ranks_last():
    """Whether more is better or less is."""
    worth = {"legrad": np.nan, "rollout": 0.25, "cdam": 0.5}
    made = {
        label: [calibration._Judged(value, value, value, value, value, value, value)]
        for label, value in {**worth, calibration._EXACT: 1.0}.items()
    }
    candidates = [Overlay(name) for name in worth]
    for by, order in (("captured", ["cdam", "rollout", "legrad"]), ("flip_size", ["rollout", "cdam", "legrad"])):
        found = calibration._ranked(made, candidates, by, (0,))
        assert [overlay.label for overlay in found.overlays] == order
        assert list(found.frame.index) == [*order, calibration._EXACT]


def test_where_no_patch_takes_anything_away_nothing_is_captured():
    exact = -np.arange(9, dtype=float).reshape(3, 3) - 1  # every patch speaks against it
    judged = calibration._judge(np.random.default_rng(0).random((3, 3)), exact, None, 0.0)
    assert judged.captured == 0
    assert calibration._judge(np.ones((3, 3)), -exact, None, 0.0).captured == 0  # and a flat map captures nothing
