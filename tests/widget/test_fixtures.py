"""The files that Python and the browser both read are what this code makes today."""

from __future__ import annotations

import base64
import itertools
import json
import math

import numpy as np
import pytest

from legrad_widget.evaluate import iou_top, rank_correlation
from legrad_widget.explanation import normalised
from legrad_widget.widget.wire import unpack
from tests.fixtures.wire import make

MADE = make.documents()
COMPARED = {f"comparison/{name}": document for name, document in make.comparisons().items()}


def stored(name):
    return json.loads((make.HERE / f"{name}.json").read_text(encoding="utf-8"))


def test_each_document_is_a_file_and_each_file_a_document():
    files = {file.relative_to(make.HERE).with_suffix("").as_posix() for file in make.HERE.rglob("*.json")}
    assert files == set(MADE | COMPARED)


def alike(stored, made):
    """Equal, numbers to 1e-6: torch may round its interpolation otherwise one day."""
    if isinstance(made, dict):
        return stored.keys() == made.keys() and all(alike(stored[key], made[key]) for key in made)
    if isinstance(made, list):
        return len(stored) == len(made) and all(map(alike, stored, made))
    if isinstance(made, float):
        return stored == pytest.approx(made, rel=1e-6, abs=1e-9)
    return stored == made


@pytest.mark.parametrize("name", MADE | COMPARED)
def test_the_files_are_current(name):
    assert alike(stored(name), json.loads(json.dumps((MADE | COMPARED)[name]))), (
        "run: python tests/fixtures/wire/make.py"
    )


def unpacked(packed):
    """The bytes out of base64, and the array out of the bytes."""
    return unpack(packed | {"data": base64.b64decode(packed["data"])})


@pytest.mark.parametrize("name", MADE)
def test_the_cases_follow_from_the_bytes_alone(name):
    """What a reader of the wire computes, written out once more: merge raw maps, then scale."""
    document = stored(name)
    result = document["result"]
    maps = unpacked(result["maps"]).astype(np.float64)
    assert maps.shape == (len(result["targets"]), len(result["layers"]), *result["grid"])
    assert len(document["cases"]) >= 5
    heads = [entry["heads"] and unpacked(entry["heads"]).astype(np.float64) for entry in result["targets"]]
    for case in document["cases"]:
        layers = case["layers"] or (result["layers"] if result["default"] == "all" else result["layers"][-1:])
        if case["heads"]:
            layers = sorted({layer for layer, _ in case["heads"]})
        chosen = maps[case["target"]][[result["layers"].index(layer) for layer in layers]]
        if case["heads"]:
            cells = [[head for its, head in case["heads"] if its == layer] for layer in layers]
            of = heads[case["target"]]
            chosen = np.stack(
                [of[result["layers"].index(layer), its].mean(0) for layer, its in zip(layers, cells, strict=True)]
            )
        if case["weights"] != "paper" and result["merge"] == "mean":
            trust = np.array([document["layer_weights"][layer - 1] for layer in layers])
            tells = np.ptp(chosen, (1, 2)) > 1e-6 * abs(chosen).max((1, 2))
            chosen, trust = chosen[tells], trust[tells]
            chosen = np.array([layer / abs(layer).max() for layer in chosen]) if len(chosen) else maps[:1, 0] * 0
            if case["weights"] == "reliability" and trust.any():
                chosen = chosen * (trust / trust.mean())[:, None, None]
        raw = chosen[-1] if result["merge"] == "last" else chosen.mean(0)
        peak = abs(raw).max()
        assert (raw.min(), raw.max()) == pytest.approx((case["min"], case["max"]), rel=1e-6, abs=1e-5 * peak)
        np.testing.assert_allclose(normalised(raw, signed=result["signed"]), case["merged"], atol=1e-5)
        assert (
            case["floor"] is None if peak == 0 else np.median(abs(raw)) / peak == pytest.approx(case["floor"], abs=1e-5)
        )


def test_the_files_cover_what_can_differ():
    documents = [stored(name) for name in MADE]
    results = [document["result"] for document in documents]
    assert {(r["merge"], r["signed"]) for r in results} >= {
        ("mean", False),
        ("mean", True),
        ("last", False),
        ("last", True),
    }
    assert {r["default"] for r in results} == {"all", "last"}
    assert all(r["grid"][0] != r["grid"][1] for r in results[:3])
    entries = [entry for r in results for entry in r["targets"]]
    assert {entry["target"]["kind"] for entry in entries} == {"text", "class", "held"}
    assert any(entry["error"] for entry in entries)
    assert {entry["heads"] and entry["heads"]["dtype"] for entry in entries} == {None, "float32"}
    assert {r["heads"] for r in results} == {0, 3, 4}
    assert any(entry["degenerate"] == [False, True, False, False] for entry in entries)
    assert any(case["min"] == case["max"] and not np.any(case["merged"]) for d in documents for case in d["cases"])


@pytest.mark.parametrize("name", COMPARED)
def test_a_comparison_follows_from_the_bytes_alone(name):
    """Merge each pane's raw maps, scale, and rank: what the page does."""
    document = stored(name)
    panes = document["comparison"]["panes"]
    for case in document["cases"]:
        for pane, layers, merged in zip(panes, case["shown"], case["merged"], strict=True):
            if pane["error"]:
                assert (layers, merged) == (None, None)
                continue
            maps = unpack(pane["maps"] | {"data": base64.b64decode(pane["maps"]["data"])}).astype(np.float64)
            assert maps.shape == (len(pane["layers"]), *document["comparison"]["grid"])
            chosen = maps[[pane["layers"].index(layer) for layer in layers]]
            raw = chosen[-1] if pane["merge"] == "last" else chosen.mean(0)
            np.testing.assert_allclose(normalised(raw, signed=pane["signed"]), merged, atol=1e-6)
        there = [place for place, pane in enumerate(panes) if not pane["error"]]
        assert [pair[:2] for pair in case["pairs"]] == [[i, j] for i, j in itertools.combinations(there, 2)]
        for i, j, rank, iou in case["pairs"]:
            one, other = case["merged"][i], case["merged"][j]
            for value, found in ((rank, rank_correlation(one, other)), (iou, iou_top(one, other))):
                assert value == (None if math.isnan(found) else pytest.approx(found, abs=1e-9))


def test_the_comparisons_cover_what_can_differ():
    documents = [stored(name) for name in COMPARED]
    panes = [pane for document in documents for pane in document["comparison"]["panes"]]
    assert any(pane["error"] for pane in panes)
    assert {(pane["merge"], pane["signed"]) for pane in panes if not pane["error"]} >= {
        ("mean", False),
        ("last", False),
        ("mean", True),
    }
    assert any(document["comparison"]["pending"] for document in documents)
    pairs = [pair for document in documents for case in document["cases"] for pair in case["pairs"]]
    assert any((rank, iou) == (None, None) for _, _, rank, iou in pairs)
    assert any(rank is not None and rank < -0.5 for _, _, rank, _ in pairs)
    assert any(rank is not None and rank > 0.5 for _, _, rank, _ in pairs)
    assert len({iou for *_, iou in pairs}) > 4
    one, two = (next(d for d in documents if len(d["comparison"]["panes"]) == count) for count in (2, 4))
    assert one["comparison"]["grid"] == [1, 1]
    assert any(len(np.unique(merged)) < np.size(merged) for case in two["cases"] for merged in case["merged"])
