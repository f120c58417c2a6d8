"""What is kept on disk: it is found again, only where it is the answer to the same question, and it stays bounded."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import legrad_widget as lw
from legrad_widget.inspection import Inspection, InspectionError, InspectionWarning
from legrad_widget.inspection.cache import Cache, default_limit
from legrad_widget.inspection.identity import architecture, digest, digest_of_picture
from legrad_widget.inspection.layer_features import layer_features
from tests import specimens
from tests.inspection import world


def kept(model, folder, count=6, **options):
    """An inspection that has run and may keep its results."""
    return Inspection(model, world.pictures(count), world.labels(count), cache=folder, **options).run(False)


# ---------------------------------------------------------------- what makes two models the same


def activation(make):
    module = specimens.timm_vit()
    for block in module.blocks:
        block.mlp.act = make()
    return module


def epsilon(value):
    module = specimens.timm_vit()
    module.norm.eps = value
    return module


def pooled(**options):
    return specimens.timm_vit(global_pool="avg", **options)


TWINS = {  # the same weights under the same names, and other answers
    "heads": (specimens.timm_vit, lambda: specimens.timm_vit(num_heads=2)),
    "pooling": (specimens.timm_vit, lambda: pooled(fc_norm=False)),
    "what is pooled": (pooled, lambda: pooled(pool_include_prefix=True)),
    "epsilon": (specimens.timm_vit, lambda: epsilon(1.0)),
    "activation": (specimens.timm_vit, lambda: activation(nn.ReLU)),
    "its approximation": (specimens.timm_vit, lambda: activation(lambda: nn.GELU(approximate="tanh"))),
}


@pytest.mark.parametrize("difference", TWINS)
def test_the_same_weights_in_another_architecture_are_another_model(tmp_path, difference):
    one, other = (make() for make in TWINS[difference])
    assert one.state_dict().keys() == other.state_dict().keys()
    kept(lw.wrap(one, class_names=world.NAMES), tmp_path)
    found = kept(lw.wrap(other, class_names=world.NAMES), tmp_path)
    fresh = kept(lw.wrap(other, class_names=world.NAMES), False)
    assert np.array_equal(found.records["loss"], fresh.records["loss"])


def test_the_bias_of_a_head_of_the_callers_own_counts(tmp_path):
    def headed(bias):
        head = nn.Linear(specimens.WIDTH, 7)
        with torch.no_grad():
            head.weight.copy_(torch.linspace(-1, 1, 7 * specimens.WIDTH).reshape(7, -1))
            head.bias.copy_(bias * torch.arange(7))
        return lw.wrap(specimens.timm_vit(num_classes=0), head=head, class_names=world.NAMES)

    kept(headed(0.0), tmp_path)
    assert np.array_equal(kept(headed(1.0), tmp_path).records["loss"], kept(headed(1.0), False).records["loss"])


@pytest.mark.parametrize("name", [*specimens.CLIPS, *specimens.CLASSIFIERS, *specimens.POOLED, "eva02", "beit"])
def test_the_same_architecture_is_told_alike_when_it_is_built_again_and_after_it_ran(name):
    module, again = specimens.EVERY[name](), specimens.EVERY[name]()
    before = list(architecture(module))
    view = lw.wrap(module).vit
    view.native(torch.zeros(1, 3, *view.size), (view.size[0] // view.patch[0], view.size[1] // view.patch[1]))
    assert list(architecture(module)) == before == list(architecture(again))


def test_a_class_of_the_notebook_is_told_by_what_it_does():
    def defined(body):
        cell = {"__name__": "__main__", "nn": nn}
        exec(f"class Mine(nn.Module):\n    def forward(self, x):\n        return {body}", cell)
        return list(architecture(cell["Mine"]()))

    assert defined("x * 2") == defined("x * 2")
    assert (
        len({*defined("x * 2"), *defined("x * 3"), *defined("x + 2"), *defined("x.relu()"), *defined("x.tanh()")}) == 5
    )


def test_results_of_another_version_are_not_there(tmp_path, monkeypatch):
    kept(world.classifier(), tmp_path)
    monkeypatch.setattr(lw, "__version__", "999")
    assert Cache(tmp_path).get("score", all_keys(tmp_path)) == {}


def all_keys(folder):
    with sqlite3.connect(folder / "results.sqlite") as base:
        found = [key for (key,) in base.execute("SELECT key FROM kept")]
    base.close()
    return found


def test_pictures_with_a_palette_are_told_by_their_colours():
    images = []
    for colours in ([255, 0, 0, 0, 255, 0], [0, 0, 255, 0, 255, 0]):
        image = Image.frombytes("P", (48, 48), bytes([0, 1] * (24 * 48)))
        image.putpalette(colours)
        images.append(image)
    r = Inspection(world.classifier(), images, [0, 0], cache=False).run(False)
    alone = [Inspection(world.classifier(), [image], [0], cache=False).run(False) for image in images]
    assert np.allclose(r.records["loss"], [one.records["loss"][0] for one in alone], atol=1e-5)


def test_a_picture_has_one_digest_before_and_after_it_is_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.png", "a.jpg", "a.webp"):
        Image.fromarray(world.pictures()[0]).save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as image:
            assert digest_of_picture(image) == digest_of_picture(image)


# ---------------------------------------------------------------- nothing twice


class Counted:
    """How many pictures go through a module's own forward."""

    def __init__(self, module):
        self.count = 0
        module.register_forward_hook(self)

    def __call__(self, _module, args, _output):
        self.count += len(args[0])


@pytest.mark.parametrize(
    "ask", [lambda r: r.clusters(2, test=False), lambda r: r.alignment(), lambda r: r.calibrate(5)]
)
def test_maps_that_were_made_on_the_way_are_kept_too(tmp_path, ask, capsys):
    module = specimens.timm_vit()
    model, mask = lw.wrap(module, class_names=world.NAMES), np.zeros((60, 60), bool)
    mask[:20] = True
    first = kept(model, tmp_path, masks=[mask] * 6)
    ask(first)
    overlay, wanted = first.maps.everything().keys(), first.wrong.tolist()
    methods = {method for _, method in overlay}
    again = kept(model, tmp_path)  # while the first is there still: nothing may wait in its memory
    count = Counted(module.blocks[0])
    for method in methods:
        for at in set(wanted) & {at for at, one in overlay if one == method}:
            again.contrast(at, method)
    assert methods
    assert count.count == 0


def test_one_picture_with_two_labels_has_two_maps(tmp_path):
    model, image = world.classifier(), world.pictures()[0]
    answers = Inspection(model, [image], [0], cache=False).run(False)
    _, second, third = answers.records["top"][0][:3].tolist()
    found = []
    for label in (second, third):
        r = Inspection(model, [image], [label], cache=tmp_path).run(False)
        fresh = Inspection(model, [image], [label], cache=False).run(False)
        found.append(r.contrast(0).predicted)
        assert np.array_equal(found[-1], fresh.contrast(0).predicted)
    assert not np.array_equal(*found)


def test_every_method_has_its_own_map(tmp_path):
    model = world.classifier()
    methods = ("attention_gradient", "legrad", "gradcam", "rollout")
    r, fresh = kept(model, tmp_path), kept(model, False)
    at = int(r.wrong[0])
    for method in methods:
        r.contrast(at, method)
    again = kept(model, tmp_path)
    for method in reversed(methods):
        assert np.array_equal(again.contrast(at, method).predicted, fresh.contrast(at, method).predicted), method


def test_a_forward_of_the_callers_own_meanwhile_is_not_taken_for_ours():
    """Another thread runs the same module in the middle of our forward."""
    module, noise = specimens.timm_vit(), torch.randn(2, 3, 48, 48)
    view, images = lw.wrap(module).vit, torch.zeros(2, 3, 48, 48)
    expected = layer_features(view, images)
    busy = []

    def meanwhile(*_):
        if not busy:
            busy.append(True)
            other = threading.Thread(target=lambda: module(noise))
            other.start()
            other.join()

    module.blocks[-1].register_forward_hook(meanwhile)
    assert torch.equal(layer_features(view, images), expected)
    assert busy


# ---------------------------------------------------------------- damage, and other trouble


def test_damage_in_the_middle_of_the_file_is_put_aside(tmp_path):
    kept(world.classifier(), tmp_path)
    file = tmp_path / "results.sqlite"
    content = bytearray(file.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)  # the first page says what tables there are
    file.write_bytes(content)
    with pytest.warns(InspectionWarning, match="damaged"):
        r = kept(world.classifier(), tmp_path)
    assert len(r.scored) == 6
    assert (tmp_path / "results.damaged").exists()
    assert len(all_keys(tmp_path)) == 6  # a new file takes its place


def test_a_map_that_was_cut_off_is_computed_again(tmp_path):
    model = world.classifier()
    maps = dict(kept(model, tmp_path).contrasts())
    with sqlite3.connect(tmp_path / "results.sqlite") as base:
        base.execute("UPDATE kept SET value = substr(value, 1, 200)")
    base.close()
    again = dict(kept(model, tmp_path).contrasts())
    assert all(np.array_equal(again[at].predicted, maps[at].predicted) for at in maps)


def test_a_file_that_another_process_holds_is_done_without(tmp_path):
    model = world.classifier()
    kept(model, tmp_path, 2)
    r = Inspection(model, world.pictures(6), world.labels(6), cache=tmp_path)
    r.cache._base.execute("PRAGMA busy_timeout = 50")  # half a minute otherwise
    other = sqlite3.connect(tmp_path / "results.sqlite")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.warns(InspectionWarning, match="database is locked") as told:
        r.run(False)
    assert len(told) == 2  # once for reading, once for writing
    assert r.cache._base.execute("PRAGMA busy_timeout").fetchone() == (100,)  # and it is not waited for long again
    other.rollback()
    other.close()
    assert len(r.scored) == 6


def test_what_cannot_be_written_is_read_still(tmp_path):
    module = specimens.timm_vit()
    model = lw.wrap(module, class_names=world.NAMES)
    kept(model, tmp_path, 4)
    r = Inspection(model, world.pictures(6), world.labels(6), cache=tmp_path, batch=1)
    r.cache.close()
    r.cache._base = sqlite3.connect(f"file:{tmp_path / 'results.sqlite'}?mode=ro", uri=True, check_same_thread=False)
    count = Counted(module.blocks[0])
    with pytest.warns(InspectionWarning, match="readonly") as told:
        r.run(False)
    assert (count.count, len(told)) == (2, 1)
    r.cache.close()


def test_two_processes_share_one_file(tmp_path):
    script = textwrap.dedent("""
        import sys, warnings
        warnings.simplefilter("error")
        from legrad_widget.inspection.cache import Cache
        from legrad_widget.inspection.identity import digest
        cache = Cache(sys.argv[1])
        sys.stdout.write("ready\\n"), sys.stdout.flush()
        for number in range(100):
            cache.put("score", {digest(2, number): bytes([2]) * 500})
        cache.close()
    """)
    cache = Cache(tmp_path)
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"ready\n"
        for number in range(100):
            cache.put("score", {digest(1, number): bytes([1]) * 500})
        assert other.wait(60) == 0
    for mine in (1, 2):
        found = cache.get("score", [digest(mine, number) for number in range(100)])
        assert set(found.values()) == {bytes([mine]) * 500}
        assert len(found) == 100
    cache.close()


# ---------------------------------------------------------------- how much


def test_what_was_written_longest_ago_makes_room(tmp_path):
    cache, limit = Cache(tmp_path, limit=1_000_000), 1_000_000
    keys = [digest(number) for number in range(500)]
    for number, key in enumerate(keys):
        cache.put("map", {key: os.urandom(10_000)})
        if number == 50:
            cache.put("map", {keys[0]: b"again"})  # written anew: as young as its neighbours
        assert (tmp_path / "results.sqlite").stat().st_size < 1.1 * limit
    there = [number for number, key in enumerate(keys) if cache.get("map", [key])]
    assert there == list(range(there[0], 500))  # the youngest, without a gap
    assert 80 < len(there) < 100
    cache.close()


def test_a_lower_limit_shrinks_the_file(tmp_path):
    cache = Cache(tmp_path, limit=10_000_000)
    for number in range(200):
        cache.put("map", {digest(number): os.urandom(10_000)})
    cache.close()
    assert (tmp_path / "results.sqlite").stat().st_size > 2_000_000
    cache = Cache(tmp_path, limit=300_000)
    cache.put("map", {digest("new"): b"new"})
    assert cache.get("map", [digest("new")]) == {digest("new"): b"new"}
    assert (tmp_path / "results.sqlite").stat().st_size < 330_000
    cache.close()


def test_the_limit_is_a_number_of_gigabytes(monkeypatch):
    assert default_limit() == 4_000_000_000
    monkeypatch.setenv("LEGRAD_WIDGET_CACHE_GB", "0.5")
    assert default_limit() == 500_000_000
    for wrong in ("much", "-1", "0", "inf", "nan"):
        monkeypatch.setenv("LEGRAD_WIDGET_CACHE_GB", wrong)
        with pytest.raises(InspectionError, match="how many gigabytes may be kept"):
            default_limit()
