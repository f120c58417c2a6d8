"""Training the shortcut classifier in small: the same bits, whether or not it was interrupted."""

import json

import pytest
import timm
import torch

from legrad_widget.builtin.shortcuts.loading import WEIGHTS, export, weights_hash
from legrad_widget.builtin.shortcuts.network import new_classifier
from legrad_widget.builtin.shortcuts.train import about, run
from legrad_widget.builtin.shortcuts.trainer import Course, ShortcutTrainer
from legrad_widget.builtin.shortcuts.world import shortcut_world
from legrad_widget.builtin.train import LAST, read

COURSE = Course(steps=3, batch=4, seed=3, textures=1)
QUIET = {"every": 1000, "scenes": 80}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(one_thread, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer = ShortcutTrainer(COURSE)
    run(trainer, folder, **QUIET)
    return trainer, folder


def test_a_resumed_run_equals_an_uninterrupted_one(whole, tmp_path):
    trainer, _ = whole
    run(ShortcutTrainer(COURSE), tmp_path, **QUIET, limit=1)
    resumed = ShortcutTrainer.resumed(read(tmp_path / LAST, "cpu"))
    assert (resumed.step_number, resumed.finished) == (1, False)
    run(resumed, tmp_path, **QUIET)
    assert resumed.finished
    for name, value in trainer.average.items():
        assert torch.equal(value, resumed.average[name]), name
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_finished_run_exports_and_an_unfinished_one_does_not(whole, tmp_path):
    _, folder = whole
    state, world = read(folder / LAST, "cpu"), shortcut_world(80, seed=5)
    file = export(state["average"], about(state, world), tmp_path)
    made = json.loads((tmp_path / "manifest.json").read_text())
    assert made["sha256"] == weights_hash(tmp_path)
    assert made["training"]["images"] == 3 * 4
    assert 0 <= made["test"]["clean"]["right"] <= 1
    assert file == tmp_path / WEIGHTS
    assert file.stat().st_size <= 2_000_000
    with pytest.raises(ValueError, match="stopped at step 2 of 3; resume it first"):
        about({**state, "step": 2}, world)


def test_every_step_is_logged_and_moves_every_weight(whole):
    trainer, folder = whole
    (line,) = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert line["step"] == 3
    assert line["loss"] > 0
    first = new_classifier(COURSE.seed).state_dict()
    still = [name for name, value in trainer.model.state_dict().items() if torch.equal(value, first[name])]
    assert still == []


def test_training_learns_something():
    trainer = ShortcutTrainer(Course(steps=200, batch=24, seed=1, textures=1))
    losses = [trainer.step() for _ in range(25)]
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])


def test_the_rate_warms_up_stays_and_falls():
    course = Course(steps=900, rate=1.0)
    assert [course.rate_at(step) for step in (0, 29, 59, 300)] == pytest.approx([1 / 60, 0.5, 1, 1])
    assert [course.rate_at(step) for step in (600, 750, 900)] == pytest.approx([1, 0.5, 0])


def test_it_is_a_stock_timm_classifier_and_making_one_leaves_torchs_generator_alone():
    before = torch.get_rng_state()
    model = new_classifier(7)
    assert torch.equal(before, torch.get_rng_state())
    assert type(model) is timm.models.vision_transformer.VisionTransformer
    assert (len(model.blocks), model.num_classes, model.global_pool) == (6, 8, "token")
    other = new_classifier(7)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
