"""Training in small: the same steps give the same bits, whether or not the run was interrupted."""

import json

import pytest
import torch

from legrad_widget.builtin import plan as plans
from legrad_widget.builtin.loading import export
from legrad_widget.builtin.muon import Muon, orthogonal
from legrad_widget.builtin.network import image_embeddings, new_network, resized, text_embeddings
from legrad_widget.builtin.tokens import tokenizer
from legrad_widget.builtin.train import LAST, about, read, run
from legrad_widget.builtin.trainer import Setting, Trainer

PLAN = "32:3:4:1e-3,64:2:3:1e-3:keep=0.5:drop=0.6,64:2:3:1e-3:decay"
SETTING = Setting(seed=3, textures=1)
QUIET = {"every": 1000, "scenes": 6}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(one_thread, tmp_path_factory):
    """A run of seven steps through both image sizes and a cool-down."""
    folder = tmp_path_factory.mktemp("whole")
    trainer = Trainer(plans.parse(PLAN), SETTING)
    run(trainer, folder, **QUIET)
    return trainer, folder


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(whole, tmp_path, steps):
    trainer, _ = whole
    run(Trainer(plans.parse(PLAN), SETTING), tmp_path, **QUIET, limit=steps)
    resumed = Trainer(plans.parse("64:1:1:1"), Setting(textures=1))
    resumed.resume(read(tmp_path / LAST, "cpu"))
    assert resumed.at.total == steps
    run(resumed, tmp_path, **QUIET)
    assert resumed.finished
    for name, value in trainer.average.items():
        assert torch.equal(value, resumed.average[name]), name
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_cool_down_starts_from_any_checkpoint_and_exports(whole, tmp_path):
    run(Trainer(plans.parse(PLAN), SETTING), tmp_path, **QUIET, limit=2)
    cooled = Trainer(plans.parse("64:2:3:1e-3:decay"), SETTING)
    cooled.start_from(read(tmp_path / LAST, "cpu"))
    run(cooled, tmp_path, **QUIET)
    state = read(tmp_path / LAST, "cpu")
    file = export(state["average"], about(state), tmp_path / "weights")
    made = json.loads((tmp_path / "weights" / "manifest.json").read_text())
    assert made["training"]["steps"] == 4
    assert [(stage["pixels"], stage["steps"], stage["decay"]) for stage in made["training"]["stages"]] == [
        (32, 2, False),
        (64, 2, True),
    ]
    assert made["training"]["images"] == 2 * 4 + 2 * 3
    assert made["training"]["mask_supervision"] is True
    assert file.stat().st_size < 8_000_000


def test_training_learns_something(tmp_path):
    trainer = Trainer(plans.parse("32:25:24:3e-3"), SETTING)
    losses = [trainer.step()[0] for _ in range(25)]
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])


def test_the_log_and_the_checkpoint_are_written(whole):
    _, folder = whole
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [(line["pixels"], line["total"]) for line in lines] == [(32, 3), (64, 5), (64, 7)]
    assert all(0 <= line["validation_top1"] <= 1 for line in lines)


def test_a_missing_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="without --resume"):
        read(tmp_path / LAST, "cpu")


@pytest.mark.parametrize(
    "text",
    ["64", "64:1:1:1:warm", "64:1:1:1:drop=1", "64:1:1:1:keep", "50:1:1:1", "64:0:1:1", "64:1:1:1:keep=2", "64:a:1:1"],
)
def test_a_plan_that_cannot_be_read_is_refused(text):
    with pytest.raises(plans.PlanError, match="a stage is written"):
        plans.parse(text)


def test_rates_warm_up_stay_and_decay():
    flat, cool = plans.parse("64:10:1:1,64:10:1:1:decay")
    assert [flat.rate_at(step, warm_up=4) for step in (0, 3, 9)] == [0.25, 1, 1]
    assert [cool.rate_at(step) for step in (0, 5)] == [1, 0.5]


def test_the_lean_forward_equals_open_clips_own():
    model = new_network(64, seed=1).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tokens = tokenizer()(["a photo of a cat", "two rockets and a xylophone"])
    with torch.no_grad():
        torch.testing.assert_close(
            image_embeddings(model, images)[:, 0], model.encode_image(images), atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(text_embeddings(model, tokens), model.encode_text(tokens), atol=1e-5, rtol=1e-4)
        all_patches = torch.arange(64).expand(2, -1)
        torch.testing.assert_close(image_embeddings(model, images, all_patches), image_embeddings(model, images))


def test_position_embeddings_keep_a_constant_when_resized():
    weights = new_network(32).state_dict()
    weights["visual.positional_embedding"] = torch.full_like(weights["visual.positional_embedding"], 2.5)
    table = resized(weights, 64)["visual.positional_embedding"]
    assert table.shape == (65, 128)
    torch.testing.assert_close(table, torch.full((65, 128), 2.5))


def test_muon_makes_updates_orthogonal_and_ignores_their_scale():
    gradient = torch.randn(3, 16, 40, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(gradient))
    assert values.min() > 0.6
    assert values.max() < 1.3
    torch.testing.assert_close(orthogonal(1000 * gradient), orthogonal(gradient), atol=1e-4, rtol=1e-3)
    parameter = torch.nn.Parameter(torch.zeros(16, 40))
    parameter.grad = gradient[0]
    Muon([parameter], lr=0.1, weight_decay=0.0).step()
    torch.testing.assert_close(parameter.detach().square().mean().sqrt(), torch.tensor(0.1 * 0.2), rtol=0.2, atol=0)
