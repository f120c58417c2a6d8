"""Evidence against masks where numbers meet their edges: full masks, ties, thresholds that are just reached."""

from __future__ import annotations

import math

import numpy as np
import pytest

from legrad_widget.inspection.overlap import CASES, Thresholds, alignment, cases


def test_a_mask_over_everything_is_all_right_and_no_better_than_chance():
    found = alignment(np.random.default_rng(0).random((4, 5)), np.ones((4, 5)))
    for number in (found.saliency_coverage, found.average_precision, found.iou_top, found.pointing, found.mass):
        assert number == pytest.approx(1)
    assert found.lift == pytest.approx(1)
    assert found.ground_coverage == found.iou < 1


def test_several_highest_patches_point_by_their_mean():
    evidence = np.array([[3.0, 1.0], [3.0, 0.0]])
    assert alignment(evidence, np.array([[1.0, 0.0], [0.0, 0.0]])).pointing == 0.5
    assert alignment(evidence, np.array([[0.0, 0.0], [1.0, 0.5]])).pointing == 0.5


def test_evidence_that_only_one_patch_has_is_on_that_patch():
    evidence = np.zeros((3, 3))
    evidence[1, 1] = 2.0
    cover = np.zeros((3, 3))
    cover[1] = 1.0
    for rule in ("half", "mean+sd", "otsu", 0.5, 0.95):
        found = alignment(evidence, cover, rule)
        assert (found.saliency_coverage, found.ground_coverage) == (1.0, pytest.approx(1 / 3)), rule
    assert found.average_precision == pytest.approx(1 / 3 * 1 + 2 / 3 * 3 / 9)  # the others are a tie of eight


def test_half_stops_as_soon_as_half_is_held():
    evidence = np.array([[5.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])  # median 0: 5 of 10 is half
    cover = np.array([[1.0, 0, 0, 0, 0, 0, 0, 0, 0]])
    assert alignment(evidence, cover).saliency_coverage == 1.0
    evidence[0, :3] = 0.1, 0.1, 0.2  # one of 0.2 is half, whatever rounding says of 0.1 + 0.1
    assert alignment(evidence, np.array([[0, 0, 1.0, 0, 0, 0, 0, 0, 0]])).saliency_coverage == 1.0


def test_a_threshold_that_is_just_reached_is_reached():
    def case(iou, ground, saliency):
        return cases(*(np.array([v]) for v in (iou, ground, saliency)), np.array([False]), Thresholds())[0]

    assert case(0.5, 0.0, 0.0) == "confuser"
    assert case(0.0, 0.5, 0.5) == "confuser"
    assert case(0.0, 0.49, 0.5) == "insufficient subset"
    assert case(0.0, 0.5, 0.49) == "distractor"
    assert case(0.49, 0.49, 0.49) == "context confusion"


def test_samples_without_a_number_have_no_case_beside_others_that_have():
    numbers = np.array([math.nan, 0.9, 0.1])
    found = cases(numbers, numbers, numbers, np.array([True, True, False]), Thresholds())
    assert found == ["", CASES[0], CASES[7]]
