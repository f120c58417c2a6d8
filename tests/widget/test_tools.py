"""Tools: what the core computes arrives, one at a time, the latest wins, and whatever happens they come to rest."""

from __future__ import annotations

import numpy as np
import pytest

from legrad_widget.widget.wire import unpack
from tests.widget.test_asking import until


class Bench:
    """A page that uses tools."""

    def __init__(self, page, client="page"):
        self.page, self.client, self.n = page, client, 0

    def use(self, tool, *, rev=None, target=0, n=None, **args):
        """Ask for a tool; gives the rid."""
        self.n = self.n + 1 if n is None else n
        rid = f"{self.client}.t{self.n}"
        rev = self.page.result["rev"] if rev is None else rev
        content = {"kind": "tool", "v": 1, "client": self.client, "n": self.n, "rid": rid, "rev": rev}
        self.page.message({**content, "target": target, "tool": tool, "args": args})
        return rid

    def get(self, tool, **args):
        """The entry of a tool when it has come to rest."""
        rid = self.use(tool, **args)
        self.rest()
        entry = self.tools[tool]
        assert entry["rid"] == rid, self.page.messages[-1:]
        return entry

    def rest(self):
        until(lambda: "busy" in self.tools and self.tools["busy"] is None)

    @property
    def tools(self):
        return dict(self.page.state["_tools"])

    @property
    def refusal(self):
        assert self.page.last["kind"] == "refused", self.page.last
        return self.page.last["message"]


@pytest.fixture
def bench(page) -> Bench:
    return Bench(page)


@pytest.fixture
def encoding(widget):
    return widget._answer.question.photo.encoding


# ---------------------------------------------------------------- what the core computes arrives


def test_effects(bench, encoding):
    entry = bench.get("effects", target=1)
    expected = encoding.head_effects("a dog")
    assert {name: entry[name] for name in ("rev", "target", "label", "args", "state", "message")} == {
        "rev": bench.page.result["rev"],
        "target": 1,
        "label": "a dog",
        "args": {},
        "state": "done",
        "message": "",
    }
    np.testing.assert_array_equal(unpack(entry["values"]), expected.values)
    np.testing.assert_array_equal(unpack(entry["maps"]), expected.maps)
    assert (entry["score"], entry["score_name"]) == (expected.score, "cosine")


def test_ablate(bench, encoding):
    entry = bench.get("ablate", cells=[[1, 0], [3, 2], [1, 0]])
    expected = encoding.ablate([(1, 0), (3, 2)], "a cat")
    assert entry["cells"] == entry["args"]["cells"] == [[1, 0], [3, 2]]
    assert (entry["before"], entry["after"], entry["change"]) == (expected.before, expected.after, expected.change)
    assert entry["score_name"] == "cosine"


@pytest.mark.parametrize("head", [None, 2])
def test_row(bench, encoding, head):
    entry = bench.get("row", layer=2, head=head, patch=[0, 2])
    expected = encoding.attention(2, head, (0, 2))
    np.testing.assert_array_equal(unpack(entry["map"]), expected.patches)
    assert entry["prefix"] == expected.prefix.tolist()


@pytest.mark.parametrize("patch", [None, [1, 2]])
def test_lens(bench, encoding, patch):
    entry = bench.get("lens", layer=2, patch=patch)
    expected = encoding.lens(2, patch and tuple(patch))
    assert [(one["index"], one["name"], one["probability"]) for one in entry["predictions"]] == [
        (one.index, one.name, one.probability) for one in expected
    ]
    assert len(expected) == 5
    assert entry["of"] == "everyday prompts"


def test_norms(bench, encoding):
    entry = bench.get("norms", layer=1)
    expected = encoding.token_norms(1)
    np.testing.assert_array_equal(unpack(entry["map"]), expected.patches)
    assert entry["prefix"] == expected.prefix.tolist()
    assert entry["threshold"] == expected.threshold
    assert entry["outliers"] == np.argwhere(expected.outliers).tolist()


def test_brush(bench, encoding):
    entry = bench.get("brush", patches=[[0, 0], [1, 2]], how="blur", control=3)
    expected = encoding.without([(0, 0), (1, 2)], "blur", targets=["a cat", "a dog"], control=3)
    assert [one["label"] for one in entry["targets"]] == ["a cat", "a dog"]
    for got, moved in zip(entry["targets"], expected.targets, strict=True):
        assert (got["before"], got["after"], got["of"]) == (moved.before, moved.after, moved.probability_of)
        assert (got["low"], got["high"]) == moved.interval
    assert entry["classes"] == []
    assert entry["picture"]["mime"] == "image/png"
    assert entry["picture"]["data"].startswith(b"\x89PNG")
