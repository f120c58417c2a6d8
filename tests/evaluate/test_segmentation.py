"""Exact arithmetic on maps small enough to count by hand."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from legrad_widget.evaluate import localisation, min_max
from legrad_widget.evaluate.segmentation import MetricError

MASK = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], bool)


def one(values, mask=MASK, **options):
    return localisation(np.asarray(values, float)[None], mask[None], **options)


def test_the_mask_itself_is_perfect_at_any_threshold():
    for threshold in (0.01, 0.5, 1.0):
        found = one(MASK, threshold=threshold)
        assert (found.miou, found.foreground_iou, found.miou_dataset, found.pixel_accuracy) == (1, 1, 1, 1)
        assert (found.average_precision, found.pointing, found.images) == (1, 1, 1)


def test_the_complement_finds_nothing():
    found = one(~MASK)
    assert (found.miou, found.foreground_iou, found.pixel_accuracy, found.pointing) == (0, 0, 0, 0)
    assert found.average_precision == pytest.approx(
        2 / 8
    )  # all six wrong pixels come first; both right ones share the last threshold


def test_counted_by_hand():
    found = one([[0.9, 0.2, 0.6, 0.0], [0.1, 0.0, 0.0, 0.0]])
    # claimed: pixels 0 and 2; right: pixel 0. Object 1/3, background 5/7.
    assert found.foreground_iou == pytest.approx(1 / 3)
    assert found.miou == pytest.approx((1 / 3 + 5 / 7) / 2)
    assert found.pixel_accuracy == pytest.approx(6 / 8)
    assert found.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)  # ranks 1 and 3 of the order 0, 2, 1, ...
    assert found.pointing == 1


def test_a_pixel_at_the_threshold_is_claimed():
    assert one(MASK * 0.5).foreground_iou == 1
    assert one(MASK * np.nextafter(0.5, 0)).foreground_iou == 0


def test_per_image_and_data_set_iou_differ():
    masks = np.zeros((2, 1, 8), bool)
    masks[0, 0, :1] = True
    masks[1, 0, :4] = True
    maps = np.zeros((2, 1, 8))
    maps[0, 0, :1] = 1  # object 1/1, background 7/7
    maps[1, 0, :2] = 1  # object 2/4, background 4/6
    found = localisation(maps, masks)
    assert found.foreground_iou == pytest.approx((1 + 1 / 2) / 2)
    assert found.miou == pytest.approx((1 + (1 / 2 + 4 / 6) / 2) / 2)
    assert found.foreground_iou_dataset == pytest.approx(3 / 5)
    assert found.miou_dataset == pytest.approx((3 / 5 + 11 / 13) / 2)
    assert found.pixel_accuracy == pytest.approx(14 / 16)


def test_a_constant_map_claims_nothing_and_points_by_area():
    flat = min_max(np.full((1, 2, 4), 7.0))
    assert not flat.any()
    found = localisation(flat, MASK[None])
    assert found.foreground_iou == 0
    assert found.miou == pytest.approx((0 + 6 / 8) / 2)
    assert found.pointing == pytest.approx(2 / 8)
    assert found.average_precision == pytest.approx(2 / 8)


def test_ties_at_the_top_share_the_point():
    assert one([[1, 0, 1, 1], [1, 0, 0, 0]]).pointing == pytest.approx(1 / 4)


def test_average_precision_does_not_depend_on_the_order_of_ties():
    values, mask = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], float), MASK
    assert one(values, mask).average_precision == one(values[:, ::-1], mask[:, ::-1]).average_precision


def test_a_mask_that_fills_the_image_has_an_empty_background_union():
    full = np.ones((2, 4), bool)
    assert one(full, full).miou == 1
    assert one(~full, full).miou == 0


def test_min_max_scales_each_map_alone():
    maps = np.array([[[1.0, 3.0]], [[-4.0, 4.0]]])
    np.testing.assert_array_equal(min_max(maps), [[[0, 1]], [[0, 1]]])


@pytest.mark.parametrize(
    ("maps", "masks", "says"),
    [
        (np.zeros((1, 2, 4)), np.ones((1, 4, 2), bool), "same shape"),
        (np.zeros((2, 4)), MASK, r"\[N, H, W\]"),
        (np.zeros((0, 2, 4)), np.ones((0, 2, 4), bool), "not empty"),
        (np.full((1, 2, 4), np.nan), MASK[None], "NaN"),
        (np.zeros((1, 2, 4)), MASK[None].astype(int), "bool"),
        (np.zeros((1, 2, 4)), np.zeros((1, 2, 4), bool), "mask 0 is empty"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(maps, masks, says):
    with pytest.raises(MetricError, match=says):
        localisation(maps, masks)


def test_the_result_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        one(MASK).miou = 2.0


def test_rounded_keeps_every_field():
    assert one(MASK).rounded() == {
        "miou": 1, "foreground_iou": 1, "miou_dataset": 1, "foreground_iou_dataset": 1,
        "pixel_accuracy": 1, "average_precision": 1, "pointing": 1, "images": 1,
    }  # fmt: skip
