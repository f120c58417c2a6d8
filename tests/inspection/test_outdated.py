"""What was found with another map, of fewer errors or with other masks says so, and is still what it was."""

from __future__ import annotations

import numpy as np
import pytest

from legrad_widget.inspection import InspectionError, InspectionWarning, Overlay, Thresholds, open_inspection
from tests.inspection import world


@pytest.fixture
def r():
    mask = np.zeros((60, 60), bool)
    mask[:30, :30] = True
    return world.inspected(12, masks=[mask] * 12)


def test_nothing_is_outdated_that_was_just_found(r):
    r.calibrate(2, ["legrad"], flips=False, show=False)
    r.clusters(2, test=False)
    r.alignment()
    r.flip_set(int(r.wrong[0]), control=0)
    assert r.outdated == {}
    assert "earlier" not in repr(r)
    r.thresholds = Thresholds(0.2, 0.2, 0.2)
    assert r.outdated == {}  # nothing was computed with these


def test_another_overlay_leaves_all_as_it_was_and_is_said(r):
    r.overlay = Overlay("legrad", "equal")
    made = r.clusters(2, test=False)
    r.alignment()
    r.flip_set(int(r.wrong[0]), control=0)
    before = r.frame
    r.overlay = Overlay("attention_gradient")
    assert set(r.outdated) == {"clusters", "cases", "flip_sets"}
    assert "the map legrad, equal; the map is attention_gradient now: group again" in r.outdated["clusters"]
    assert f"Of {len(r.wrong)} samples" in r.outdated["cases"]
    assert "clusters, cases, flip_sets" in repr(r)
    assert r.frame["cluster"].equals(before["cluster"])
    assert r.frame["iou"].equals(before["iou"])
    assert r.clustered is made
    for call in (r.cases, lambda: r.sorted("cluster"), lambda: r.sorted("outside_mask")):
        with pytest.warns(InspectionWarning, match="legrad, equal"):
            call()
    r.sorted("loss")  # does not depend on it
    r.overlay = Overlay("legrad", "equal")
    assert r.outdated == {}
    r.cases()


def test_samples_that_were_compared_by_several_maps_are_counted_apart(r):
    first, second = r.wrong[:2].tolist()
    r.alignment([first], "legrad")
    assert "1 by the map legrad; the map is attention_gradient now" in r.outdated["cases"]
    r.alignment([second])
    assert "1 by the map legrad and 1 by the map attention_gradient" in r.outdated["cases"]
    r.alignment([first], binarise="otsu")
    assert "('otsu')" in r.outdated["cases"]
    r.alignment([first, second])
    assert r.outdated == {}


def test_cases_of_nothing_are_told(r):
    with pytest.raises(InspectionError, match="alignment\\(\\) does that"):
        r.cases()


def test_more_errors_and_other_masks_are_said(r):
    r.calibrate(2, ["legrad"], flips=False, show=False)
    r.clusters(2, test=False)
    asked = r.calibrated.samples[0]
    r.draw_mask(asked, (0, 0, 60, 20))
    r.mask_share(asked)
    assert set(r.outdated) == {"calibration"}
    assert "Masks changed" in r.outdated["calibration"]
    right = int(np.setdiff1d(r.scored, r.wrong)[0]) if len(r.wrong) < 12 else None
    if right is None:  # one less before is one more now
        r.records["predicted"][r.wrong[-1]] = r.records["label"][r.wrong[-1]]
    else:
        r.records["predicted"][right] = (r.records["label"][right] + 1) % 7
    now = len(r.wrong)
    assert f"there are {now} now" in r.outdated["calibration"]
    assert f"there are {now} now" in r.outdated["clusters"]


def test_what_was_saved_knows_what_it_was_made_with(r, tmp_path):
    r.calibrate(2, ["legrad"], flips=False, coarse=2, show=False)
    r.overlay = Overlay("legrad", "floor")
    made = r.clusters(2, (1.0, 0.5, 0.25), test=False)
    r.alignment(binarise="otsu")
    r.flip_set(int(r.wrong[0]), control=0)
    r.overlay = Overlay("attention_gradient")
    r.save(tmp_path / "saved")
    again = open_inspection(tmp_path / "saved")
    assert again.outdated == r.outdated
    assert again.clustered.overlay == made.overlay
    assert (again.clustered.weights, again.clustered.k, again.clustered.rows) == ((1.0, 0.5, 0.25), 2, made.rows)
    assert np.array_equal(again.clustered.points, made.points)
    assert again.clustered.shown == made.shown
    assert again.calibrated.coarse == 2
    assert "approximated: 2 x 2 patches at a time" in str(again.calibrated)
    assert again.measured == r.measured
