"""Evidence against masks, pixel by pixel; the eight cases; masks of every kind."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from legrad_widget.inspection import Inspection
from legrad_widget.inspection.mask_sources import as_mask, of_boxes, of_png, of_polygons, patch_shares, to_png
from legrad_widget.inspection.overlap import CASES, MEANINGS, Thresholds, alignment, cases
from legrad_widget.inspection.problem import InspectionError, InspectionWarning
from tests.inspection import world

PATCH = 8


def upsampled(grid):
    return np.asarray(grid).repeat(PATCH, 0).repeat(PATCH, 1)


@pytest.fixture
def scene():
    """Evidence [4, 5], a mask in pixels that does not follow the patches, and its cover."""
    rng = np.random.default_rng(0)
    evidence = rng.random((4, 5)) ** 3
    mask = np.zeros((32, 40), bool)
    mask[5:21, 11:30] = True
    return evidence, mask, patch_shares(mask, (0, 0, 40, 32), (4, 5))


def test_a_patch_is_covered_by_the_share_of_its_pixels(scene):
    _, mask, cover = scene
    literal = mask.reshape(4, PATCH, 5, PATCH).mean((1, 3))
    assert np.allclose(cover, literal, atol=1e-12)


def test_a_window_takes_what_the_model_saw():
    mask = np.zeros((10, 20), bool)
    mask[2:5, 7:12] = True
    fine = mask.repeat(12, 0).repeat(12, 1)  # so that the window's edges fall on pixels
    cropped = fine[:, 60:180].reshape(3, 40, 3, 40).mean((1, 3))
    assert np.allclose(patch_shares(mask, (5, 0, 15, 10), (3, 3)), cropped, atol=1e-12)
    padded = np.pad(fine, ((60, 60), (0, 0))).reshape(3, 80, 3, 80).mean((1, 3))
    assert np.allclose(patch_shares(mask, (0, -5, 20, 15), (3, 3)), padded, atol=1e-12)


def winding(corners, x, y):
    """How often the corners go around (x, y), by adding up the angles: slow and literal."""
    around = 0.0
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        turned = math.atan2(y1 - y, x1 - x) - math.atan2(y0 - y, x0 - x)
        around += (turned + math.pi) % (2 * math.pi) - math.pi
    return round(around / (2 * math.pi))


STAR = [(20 + 13 * math.cos(4 * math.pi * k / 5), 14 + 11.5 * math.sin(4 * math.pi * k / 5)) for k in range(5)]


@pytest.mark.parametrize(
    "corners",
    [
        [(2.3, 1.1), (30.7, 4.2), (12.9, 25.6)],
        [(30.7, 4.2), (2.3, 1.1), (12.9, 25.6)],  # the other way round
        STAR,  # crosses itself: its middle is inside
        [(5.25, 3.25), (19.75, 3.25), (19.75, 17.75), (5.25, 17.75)],
        [(-9.3, -4.1), (50.2, 10.3), (21.7, 40.9)],  # beyond the picture
    ],
)
def test_a_polygon_holds_the_pixels_whose_centres_it_goes_around(corners):
    literal = [[winding(corners, x + 0.5, y + 0.5) != 0 for x in range(40)] for y in range(28)]
    found = of_polygons([corners], (40, 28))
    assert found.tolist() == literal
    assert 50 < found.sum() < found.size


def test_polygons_count_together_and_a_rectangle_is_a_box():
    one, two = [(2, 3), (9, 3), (9, 8), (2, 8)], [(20.2, 1), (33.8, 1), (33.8, 26), (20.2, 26)]
    assert np.array_equal(of_polygons([one], (40, 28)), of_boxes((2, 3, 9, 8), (40, 28)))
    assert np.array_equal(of_polygons([one, two], (40, 28)), of_boxes([(2, 3, 9, 8), (20.2, 1, 33.8, 26)], (40, 28)))


@pytest.mark.parametrize(
    ("polygon", "says"),
    [
        ([(0, 0), (9, 9)], "three or more corners"),
        ([(0, 0), (9, float("nan")), (3, 9)], "three or more corners"),
        ("lasso", "three or more corners"),
        ([(1.1, 1.1), (1.2, 1.1), (1.2, 1.2)], "holds no pixel of the picture of 40 x 28"),
    ],
)
def test_what_is_no_polygon_says_so(polygon, says):
    with pytest.raises(InspectionError, match=says):
        of_polygons([polygon], (40, 28))


def test_a_mask_is_the_same_after_it_was_written(scene):
    _, mask, _ = scene
    assert np.array_equal(of_png(to_png(mask)), mask)
    assert len(to_png(mask)) < 200


def literal_set(values, rule):
    flat = sorted(values.ravel().tolist(), reverse=True)
    if rule == "half":
        median = float(np.median(values))
        above = [max(v - median, 0) for v in flat]
        held, count = 0.0, 0
        while held < sum(above) / 2:
            held += above[count]
            count += 1
        return values >= flat[count - 1]
    if rule == "mean+sd":
        return values > values.mean() + values.std()
    if rule == "otsu":
        best = max(
            sorted(set(flat))[:-1],
            key=lambda t: (
                (values <= t).mean()
                * (values > t).mean()
                * (values[values > t].mean() - values[values <= t].mean()) ** 2
            ),
        )
        return values > best
    return values > np.quantile(values, rule)


@pytest.mark.parametrize("rule", ["half", "mean+sd", "otsu", 0.8])
def test_the_numbers_are_those_of_the_pixels(scene, rule):
    evidence, mask, cover = scene
    found = alignment(evidence, cover, rule)
    chosen = upsampled(literal_set(evidence, rule))
    assert found.iou == pytest.approx((chosen & mask).sum() / (chosen | mask).sum())
    assert found.ground_coverage == pytest.approx((chosen & mask).sum() / mask.sum())
    assert found.saliency_coverage == pytest.approx((chosen & mask).sum() / chosen.sum())
    pixels = upsampled(evidence)
    assert found.average_precision == pytest.approx(average_precision_score(mask.ravel(), pixels.ravel()))
    assert found.mass == pytest.approx(pixels[mask].sum() / pixels.sum())
    above = np.maximum(pixels - np.median(evidence), 0)
    assert found.mass_above_floor == pytest.approx(above[mask].sum() / above.sum())
    assert found.lift == pytest.approx(found.mass_above_floor / mask.mean())
    assert found.area == pytest.approx(mask.mean())
    assert found.pointing == pytest.approx(mask[pixels == pixels.max()].mean())
    top = np.isin(evidence, np.sort(evidence.ravel())[::-1][: round(cover.sum())])
    assert found.iou_top == pytest.approx((upsampled(top) & mask).sum() / (upsampled(top) | mask).sum())


def test_a_flat_map_says_nothing(scene):
    found = alignment(np.ones((4, 5)), scene[2])
    assert math.isnan(found.iou)
    assert math.isnan(found.lift)
    assert found.area > 0
    assert cases(*[np.array([math.nan])] * 3, np.array([True]), Thresholds()) == [""]


def test_only_the_order_counts_for_the_number_without_a_threshold(scene):
    evidence, _, cover = scene
    assert alignment(evidence, cover).average_precision == alignment(evidence**2 + 7, cover).average_precision


@pytest.mark.parametrize("rule", ["loud", 1.0, -0.1, True, None])
def test_another_rule_is_refused(scene, rule):
    with pytest.raises(InspectionError, match="binarise is"):
        alignment(scene[0], scene[2], rule)


@pytest.mark.parametrize(
    ("iou", "ground", "saliency", "column"),
    [(0.6, 0.7, 0.8, 0), (0.4, 0.6, 0.6, 0), (0.2, 0.2, 0.9, 1), (0.2, 0.9, 0.2, 2), (0.1, 0.2, 0.2, 3)],
)
def test_the_eight_cases(iou, ground, saliency, column):
    numbers = [np.array([value, value]) for value in (iou, ground, saliency)]
    found = cases(*numbers, np.array([True, False]), Thresholds())
    assert found == [CASES[column], CASES[4 + column]]


def test_every_case_is_explained():
    assert set(MEANINGS) == set(CASES)


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m,
        lambda m: m.astype(np.uint8) * 255,
        lambda m: Image.fromarray(m),
        lambda m: np.stack([m * 255] * 3, -1).astype(np.uint8),
    ],
)
def test_masks_of_every_kind(make, tmp_path):
    mask = np.zeros((48, 40), bool)
    mask[3:20, 5:9] = True
    assert np.array_equal(as_mask(make(mask), (40, 48)), mask)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert np.array_equal(as_mask(tmp_path / "mask.png", (40, 48)), mask)


def test_boxes_hold_the_pixels_whose_centre_is_inside():
    mask = of_boxes([(1, 2, 3, 4), (7.6, 0, 8.6, 1)], (10, 5))
    assert np.argwhere(mask).tolist() == [[0, 8], [2, 1], [2, 2], [3, 1], [3, 2]]
    assert of_boxes((0, 0, 100, 100), (10, 5)).all()


def masks_for(r):
    mask = np.zeros((60, 60), bool)
    mask[:25, 12:50] = True
    return dict.fromkeys(range(r.total), mask)


def test_errors_are_measured_for_both_classes():
    base = world.inspected()
    r = world.inspected(masks=masks_for(base))
    table = r.alignment()
    assert table.index.tolist() == r.wrong.tolist()
    cover = r.mask_share(0)
    for at in r.wrong.tolist():
        predicted, true = r.contrast(at).merged()
        assert table.loc[at, "iou"] == alignment(predicted, cover).iou
        assert table.loc[at, "iou_true"] == alignment(true, cover).iou
        assert r.frame.loc[at, "outside_mask"] == pytest.approx(1 - table.loc[at, "mass_above_floor"])
    assert r.cases().to_numpy().sum() == len(r.wrong)
    assert r.sorted("outside_mask")["outside_mask"].is_monotonic_decreasing


def test_thresholds_move_samples_between_cases_without_computing(monkeypatch):
    r = world.inspected(masks=masks_for(world.inspected()))
    r.alignment()
    before = r.frame["case_predicted"].value_counts()
    monkeypatch.setattr("legrad_widget.inspection.aligning.usable_contrast", None)
    r.thresholds = Thresholds(iou=0, saliency=0, ground=0)
    after = r.frame["case_predicted"].value_counts()
    assert before.sum() == after.sum()
    assert after["confuser"] == len(r.wrong)
    r.thresholds = Thresholds(iou=1, saliency=1, ground=1)
    assert (r.frame.loc[r.wrong, "case_predicted"] == "context confusion").sum() > after.get("context confusion", 0)


def test_a_drawn_mask_takes_the_place_of_the_given_one():
    r = world.inspected()
    at = int(r.wrong[0])
    with pytest.raises(InspectionError, match="there are no masks"):
        r.alignment()
    assert r.mask_share(at) is None
    r.draw_mask(at, (0, 0, 30, 60))
    assert np.allclose(r.mask_share(at), [[1, 0.5, 0]] * 3)
    assert r.alignment().index.tolist() == [at]
    r.draw_mask(at, np.ones((60, 60), bool))
    assert np.allclose(r.mask_share(at), 1)
    assert "iou" not in r.frame  # measured anew when it is asked
    r.draw_mask(at, None)
    assert r.mask_share(at) is None


def test_drawn_shapes_are_added_and_taken_away():
    given = np.zeros((60, 60), bool)
    given[:20] = True
    r = world.inspected(masks=[given] * 12)
    at = int(r.wrong[0])
    r.draw_mask(at, (0, 20, 60, 40), "add")
    assert np.allclose(r.mask_share(at), [[1] * 3, [1] * 3, [0] * 3])
    r.draw_mask(at, (0, 0, 20, 60), how="remove")
    assert np.allclose(r.mask_share(at), [[0, 1, 1], [0, 1, 1], [0] * 3])
    with pytest.raises(InspectionError, match="nothing is left"):
        r.draw_mask(at, (0, 0, 60, 60), how="remove")
    assert np.allclose(r.mask_share(at), [[0, 1, 1], [0, 1, 1], [0] * 3])  # as it was
    r.draw_mask(at, None)
    assert np.allclose(r.mask_share(at), [[1] * 3, [0] * 3, [0] * 3])  # the given one again
    with pytest.raises(InspectionError, match="'replace', 'add' or 'remove'"):
        r.draw_mask(at, None, "paint")


def test_a_mask_that_is_drawn_anew_is_no_problem_any_more():
    r = world.inspected(masks=["nowhere.png"] * 12)
    at = int(r.wrong[0])
    with pytest.warns(InspectionWarning, match=f"one mask cannot be used.*; sample {at}: its mask cannot be read"):
        assert r.alignment([at]).empty
    assert r.problems["kind"].tolist() == ["mask"]
    r.draw_mask(at, (0, 0, 30, 60))
    assert r.problems.empty
    assert r.alignment([at]).index.tolist() == [at]


def test_a_crop_cuts_the_mask_too():
    mask = np.zeros((60, 120), bool)
    mask[:, :30] = True
    with pytest.raises(InspectionError, match="120 x 60"):
        world.inspected(4, masks=[mask] * 4).mask_share(0)
    images, labels = world.pictures(4, 60, 120), [0, 1, 2, 3]
    wide = Inspection(world.classifier(), images, labels, masks=[mask] * 4, cache=False).run(False)
    assert np.allclose(wide.mask_share(0), [[0.75, 0, 0]] * 3)
    cut = Inspection(world.classifier(), images, labels, masks=[mask] * 4, cache=False, fit="crop").run(False)
    with pytest.raises(InspectionError, match="outside of what the model saw"):
        cut.mask_share(0)


def test_the_cases_that_a_saved_page_must_tell_alike_are_current_and_literally_so():
    from tests.fixtures.mask_cases import make

    held = json.loads(make.FILE.read_text(encoding="utf-8"))
    assert held == make.document(), "run: python tests/fixtures/mask_cases/make.py"
    for judged in held["judged"]:
        high = judged["thresholds"]
        for (right, iou, ground, saliency), found in zip(held["samples"], judged["cases"], strict=True):
            if iou is None:
                assert found == -1
                continue
            inside, around = saliency >= high["saliency"], ground >= high["ground"]
            name = (
                ("human-aligned" if right else "confuser") if iou >= high["iou"] or (inside and around)
                else ("sufficient subset" if right else "insufficient subset") if inside
                else ("sufficient context" if right else "distractor") if around
                else ("context-dependent" if right else "context confusion")
            )  # fmt: skip
            assert held["names"][found] == name
