"""Objects on other backgrounds: filling, pasting, donors and shares against literal copies, and a planted one."""

from __future__ import annotations

import copy
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import legrad_widget as lw
from legrad_widget.inspection import InspectionError, InspectionWarning, open_inspection
from legrad_widget.inspection.backgrounds import composed, filled
from tests.inspection import world as tiny


def literally_filled(picture, mask):
    """Each pixel under the mask: the mean of all outside, by exp(-d^2 / 2 s^2), s a 16th of the longer side."""
    sigma = max(mask.shape) / 16
    outside = np.argwhere(~mask)
    result = picture.copy()
    for y, x in np.argwhere(mask):
        far = (outside[:, 0] - y) ** 2 + (outside[:, 1] - x) ** 2
        near = np.exp(-(far - far.min()) / (2 * sigma**2))
        values = picture[outside[:, 0], outside[:, 1]].astype(np.float64)
        result[y, x] = np.round((near[:, None] * values).sum(0) / near.sum())
    return result


def literally_composed(picture, mask, background):
    result = background.copy()
    for y, x in np.argwhere(mask):
        result[y, x] = picture[y, x]
    return result


@pytest.fixture(scope="module")
def scenes():
    return lw.builtin.shortcut_world(120, seed=0)


@pytest.fixture(scope="module")
def r(scenes):
    return inspected(scenes)


def inspected(scenes, rows=None, **options):
    rows = range(len(scenes.images)) if rows is None else rows
    options = {"masks": [scenes.masks[i] for i in rows], **options}
    made = lw.inspection.Inspection(
        lw.load("shortcuts"), [scenes.images[i] for i in rows], [int(scenes.labels[i]) for i in rows],
        class_names=scenes.class_names, cache=False, **options,
    )  # fmt: skip
    return made.run(False)


def snow_errors(r, scenes):
    said = r.frame["predicted"]
    return [i for i in r.wrong.tolist() if scenes.truth[i].ground == "snow" and said[i] == "wolf"]


def test_an_object_is_filled_from_what_is_around_it():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (40, 33, 3), dtype=np.uint8)
    mask = np.zeros((40, 33), bool)
    mask[3:35, 2:30] = True
    mask[10:12, 5:9] = False
    found, expected = filled(picture, mask), literally_filled(picture, mask)
    assert np.array_equal(found[~mask], picture[~mask])
    assert np.abs(found.astype(int) - expected).max() <= 1  # of 255: where a mean lies halfway between two
    assert (found == expected).mean() > 0.999


def test_an_object_keeps_its_place_and_its_pixels_and_the_background_covers_the_rest():
    rng = np.random.default_rng(1)
    picture, background = (rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2))
    mask = rng.random((20, 30)) < 0.3
    found = composed(Image.fromarray(picture), mask, Image.fromarray(background))
    assert np.array_equal(found, literally_composed(picture, mask, background))
    tall = np.zeros((80, 60, 3), np.uint8)
    tall[20:60, :, 0] = 200  # the middle half, which alone is left of 60 x 80 where 30 x 20 is covered
    found = np.asarray(composed(Image.fromarray(picture), mask, Image.fromarray(tall)))
    assert np.array_equal(found[mask], picture[mask])
    assert (found[2:-2][~mask[2:-2]] == (200, 0, 0)).all()


def test_the_table_is_that_of_a_literal_copy(r, scenes, monkeypatch):
    from legrad_widget.inspection.backgrounds import Donors

    chosen: dict[tuple[int, bool], list[int]] = {}
    order = Donors.order

    def noted(self, at, *, same):
        chosen[at, same] = order(self, at, same=same)
        return chosen[at, same]

    monkeypatch.setattr(Donors, "order", noted)
    rows = [int(i) for i in (*r.wrong[:3], *np.setdiff1d(r.scored, r.wrong)[:2])]
    found = r.on_other_backgrounds(rows, 3, seed=5)
    assert found.table.index.tolist() == sorted(rows)
    assert found.left_out == {}
    frame = r.frame
    for at in rows:
        was, is_ = frame["predicted"][at], frame["label"][at]
        shares = []
        for same in (False, True):
            donors = chosen[at, same]
            fits = {i for i in range(r.total) if i != at and (frame["predicted"][i] == was) == same}
            assert set(donors) == fits
            assert len(donors) == len(fits)
            right = [frame["predicted"][i] == frame["label"][i] for i in donors]
            assert right == sorted(right, reverse=True)
            said = []
            for donor in donors[:3]:
                ground = literally_filled(scenes.images[donor], scenes.masks[donor])
                image = literally_composed(scenes.images[at], scenes.masks[at], ground)
                said.append(r.model.encode(image).predictions(1)[0].name)
            shares += [np.mean([one != was for one in said]), np.mean([one == is_ for one in said])]
        row = found.table.loc[at]
        assert row[["changed", "true", "control_changed", "control_true"]].tolist() == pytest.approx(shares)
        assert (row["label"], row["predicted"], row["others"], row["controls"]) == (is_, was, 3, 3)
    assert found.changed == pytest.approx(found.table["changed"].mean())


def test_a_planted_background_is_found_and_the_control_stays(r, scenes):
    found = r.on_other_backgrounds(snow_errors(r, scenes))
    assert len(found) >= 10
    assert found.changed > 0.9
    assert found.true > 0.5
    assert found.control_changed < 0.1
    assert found.beyond_control > 0.9
    assert "rest on what is outside of the masks" in str(found)
    assert "Control" in str(found)


def test_the_seed_alone_chooses_whoever_else_is_asked_about(r):
    rows = r.wrong[:6].tolist()
    first = r.on_other_backgrounds(rows, seed=3)
    r.transplanted = None
    assert r.on_other_backgrounds(rows, seed=3).table.equals(first.table)
    r.transplanted = None
    assert r.on_other_backgrounds(rows[2:3], seed=3).table.equals(first.table.loc[rows[2:3]])
    from legrad_widget.inspection.backgrounds import Donors

    assert Donors(r, 3).order(rows[0], same=False) != Donors(r, 4).order(rows[0], same=False)


def test_without_rows_the_errors_are_asked_about_the_surest_first(r):
    found = r.on_other_backgrounds(n=1)
    by_chance = r.errors.sort_values("p_pred", ascending=False, kind="stable")
    assert found.table.index.tolist() == by_chance.index.tolist()
    assert found.n == 1


def test_the_model_and_the_inspection_stay_as_they_are(r, scenes):
    module = r.model.module
    weights, frame, picture = copy.deepcopy(module.state_dict()), r.frame, scenes.images[0].copy()
    modes = [part.training for part in module.modules()]
    with torch.inference_mode():
        r.on_other_backgrounds([0, 1], 2)
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
    assert [part.training for part in module.modules()] == modes
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert all(one.grad is None for one in module.parameters())
    assert r.frame.drop(columns="background_changes", errors="ignore").equals(
        frame.drop(columns="background_changes", errors="ignore")
    )
    assert np.array_equal(scenes.images[0], picture)


def test_without_masks_it_says_how_to_pass_them(r, scenes):
    with pytest.raises(InspectionError, match=r"masks are needed, and there are none: lw.inspect\(\.\.\., masks="):
        tiny.inspected(4).on_other_backgrounds()
    bad = inspected(scenes, range(6), masks=[np.ones((3, 3), bool)] * 6)
    with pytest.raises(InspectionError, match=r"not one of .* its mask has 3 x 3 pixels"):
        bad.on_other_backgrounds(range(6))
    assert set(bad.problems["kind"]) == {"mask"}
    whole = inspected(scenes, range(6), masks=[np.ones((64, 64), bool)] * 6)
    with pytest.raises(InspectionError, match="covers the whole picture"):
        whole.on_other_backgrounds(range(6))


def test_where_all_were_taken_for_one_class_it_says_so(r, scenes):
    wolves = snow_errors(r, scenes)
    with pytest.raises(InspectionError, match="no other sample with a mask was taken for another class than 'wolf'"):
        inspected(scenes, wolves).on_other_backgrounds()


def test_without_a_sample_of_the_same_answer_there_is_no_control(r, scenes):
    lone = snow_errors(r, scenes)[0]
    others = [i for i in np.setdiff1d(r.scored, r.wrong).tolist() if r.frame["predicted"][i] != "wolf"][:5]
    found = inspected(scenes, [lone, *others]).on_other_backgrounds([0])
    assert found.table["controls"].tolist() == [0]
    assert np.isnan(found.control_changed)
    assert np.isnan(found.beyond_control)
    assert "There is no control" in str(found)
    assert "cannot be told without a control" in str(found)


def test_a_sample_without_a_mask_or_a_picture_is_left_out_and_gives_no_background(scenes, tmp_path):
    rows = list(range(12))
    paths = [tmp_path / f"{i}.png" for i in rows]
    for i, path in zip(rows, paths, strict=True):
        Image.fromarray(scenes.images[i]).save(path)
    made = lw.inspection.Inspection(
        lw.load("shortcuts"), paths, [int(scenes.labels[i]) for i in rows], class_names=scenes.class_names,
        masks={i: scenes.masks[i] for i in rows if i != 3}, cache=False,
    ).run(False)  # fmt: skip
    paths[5].unlink()
    found = made.on_other_backgrounds(rows, 20)
    assert set(found.left_out) == {3, 5}
    assert found.left_out[3] == "it has no mask"
    assert "cannot be read" in found.left_out[5]
    assert "2 were left out" in str(found)
    assert (found.table["others"] + found.table["controls"] == len(rows) - 3).all()  # neither itself, nor 3, nor 5


def test_it_can_be_stopped_and_goes_on_where_it_was(r):
    r.transplanted = None
    steps = []

    def progress(step, total):
        steps.append((step, total))
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        r.on_other_backgrounds(range(5), 1, progress=progress)
    assert steps == [(0, 5), (1, 5), (2, 5)]
    kept = r.transplanted
    assert kept.table.index.tolist() == [0, 1]
    assert r.frame["background_changes"].notna().sum() == 2
    found = r.on_other_backgrounds(range(5), 1, progress=lambda step, total: steps.append((step, total)))
    assert steps[3:] == [(0, 3), (1, 3), (2, 3)]
    assert found is r.transplanted
    assert found.table.loc[[0, 1]].equals(kept.table)
    r.transplanted = None
    assert r.on_other_backgrounds(range(5), 1).table.equals(found.table)
    assert len(r.on_other_backgrounds([1, 3], 1, progress=lambda step, total: pytest.fail("it was known"))) == 2
    assert set(r.transplanted.known) == set(range(5))
    for other in ({"n": 2}, {"n": 1, "seed": 1}):
        r.on_other_backgrounds([3], **other)
        assert set(r.transplanted.known) == {3}


def test_it_becomes_a_column_and_an_order(r):
    some = r.wrong[:4].tolist()
    found = r.on_other_backgrounds(some, 3, seed=2)
    column = r.frame["background_changes"].dropna()
    assert column[some].tolist() == found.table["changed"].tolist()
    assert len(column) == len(some)
    assert r.sorted("backgrounds").index.tolist() == column.sort_values(ascending=False, kind="stable").index.tolist()


def test_other_masks_and_answers_make_it_outdated_and_it_is_asked_anew(scenes):
    made = inspected(scenes, range(12))
    before = made.on_other_backgrounds([0, 1], 1)
    assert made.outdated == {}
    made.draw_mask(5, (2, 2, 20, 20))
    assert set(made.outdated) == {"backgrounds"}
    assert made.outdated["backgrounds"].startswith("Masks changed since")
    with pytest.warns(InspectionWarning, match="Masks changed since"):
        made.sorted("backgrounds")
    asked = []
    made.on_other_backgrounds([0, 1], 1, progress=lambda step, total: asked.append(step))
    assert asked == [0, 1]
    assert made.outdated == {}
    made.mask_share(5)  # laid on patches later: still the same mask
    made.mask_share(0)
    assert made.outdated == {}
    made.draw_mask(5, None)
    made.on_other_backgrounds([0, 1], 1)
    assert made.transplanted.table.equals(before.table)
    made.records["predicted"][7] = (made.records["predicted"][7] + 1) % 7
    assert made.outdated["backgrounds"].startswith("There are other answers since")


def test_it_is_kept_with_the_inspection_and_read_without_the_model(scenes, tmp_path):
    made = inspected(scenes, range(14), masks={i: scenes.masks[i] for i in range(14) if i != 3})
    made.draw_mask(5, (2, 2, 40, 40))
    made.on_other_backgrounds([1, 8], 2, seed=1)
    found = made.on_other_backgrounds(range(6), 2, seed=1)
    made.save(tmp_path / "audit")
    again = open_inspection(tmp_path / "audit")
    kept = again.transplanted
    pd.testing.assert_frame_equal(kept.table, found.table)
    assert (str(kept), kept.left_out, kept.n, kept.seed) == (str(found), found.left_out, 2, 1)
    assert str(kept.known) == str(found.known)
    assert again.outdated == {}
    pd.testing.assert_series_equal(again.frame["background_changes"], made.frame["background_changes"])
    assert str(again.on_other_backgrounds([1, 8], 2, seed=1)) == str(made.on_other_backgrounds([1, 8], 2, seed=1))
    with pytest.raises(InspectionError, match="to ask about other backgrounds the model is needed"):
        again.on_other_backgrounds([9], 2, seed=1)
    again.save(tmp_path / "audit")
    assert str(open_inspection(tmp_path / "audit").transplanted) == str(made.transplanted)


def test_a_folder_from_before_it_was_kept_opens(scenes, tmp_path):
    inspected(scenes, range(6)).save(tmp_path / "audit")
    manifest = tmp_path / "audit" / "manifest.json"
    said = json.loads(manifest.read_text())
    assert said.pop("backgrounds") is None
    manifest.write_text(json.dumps(said))
    assert open_inspection(tmp_path / "audit").transplanted is None


def test_large_pictures_of_different_shapes(scenes):
    rows = list(range(8))
    sides = [(400, 300), (90, 200), (64, 64), (333, 77)]
    images, masks = [], []
    for i in rows:
        size = sides[i % 4]
        images.append(Image.fromarray(scenes.images[i]).resize(size))
        masks.append(np.asarray(Image.fromarray(scenes.masks[i]).resize(size)))
    made = lw.inspection.Inspection(
        lw.load("shortcuts"), images, [int(scenes.labels[i]) for i in rows], class_names=scenes.class_names,
        masks=masks, cache=False, fit="crop",
    ).run(False)  # fmt: skip
    found = made.on_other_backgrounds(rows, 2)
    assert len(found) == 8
    assert found.left_out == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [({"n": 0}, "n is how many"), ({"n": True}, "n is how many"), ({"seed": -1}, "seed is a whole number")],
)
def test_arguments_are_checked(r, options, says):
    with pytest.raises(InspectionError, match=says):
        r.on_other_backgrounds([0], **options)


def test_nobody_asked_about(r):
    found = r.on_other_backgrounds([])
    assert len(found) == 0
    assert str(found) == "No sample was asked about."


def test_a_group_that_no_region_explains_is_sent_here_by_a_call_that_runs(r, scenes):
    found = r.clusters()
    snow = set(snow_errors(r, scenes))
    card = max(found, key=lambda card: len(snow & set(card.members)))
    assert max(card.flips, card.random_flips) < 0.2
    assert "the cause may be spread out, e.g. the background" in card.advice
    assert card.advice in str(found)
    call = card.advice[card.advice.index("r.on_other") :]
    told = eval(call, {"r": r})
    assert set(told.table.index) == set(card.members)
    assert told.beyond_control > 0.5
    explained = [card for card in found if card.flips >= 0.2 or card.random_flips >= 0.2]
    assert explained
    assert all(card.advice == "" for card in explained)
    assert all(card.advice == "" for card in r.clusters(2, test=False))
    assert "spread out" not in str(r.clustered)
