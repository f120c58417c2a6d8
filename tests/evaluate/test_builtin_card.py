"""The model card's command, in small, on the shipped model."""

import numpy as np
import pytest

from legrad_widget.builtin.held_out import crowded_scenes
from legrad_widget.evaluate import builtin_card
from legrad_widget.evaluate.builtin_card import calibrate, card, markdown, queries, support_errors


def test_the_threshold_parts_what_can_be_parted():
    shown, absent = np.array([0.2, 0.4, 0.9]), np.array([0.001, 0.01, 0.05])
    threshold = calibrate(shown, absent)
    assert 0.05 < threshold < 0.2
    assert support_errors(threshold, shown, absent) == {"false_fade": 0, "false_show": 0}


def test_the_threshold_has_the_smallest_sum_of_errors():
    rng = np.random.default_rng(0)
    shown, absent = rng.beta(2, 2, 200), rng.beta(1, 6, 400)
    best = sum(support_errors(calibrate(shown, absent), shown, absent).values())
    others = [sum(support_errors(t, shown, absent).values()) for t in np.linspace(0.001, 0.999, 300)]
    assert best <= min(others) + 1e-12


def test_error_rates_count_each_side():
    found = support_errors(0.5, np.array([0.4, 0.5, 0.6, 0.7]), np.array([0.5, 0.1]))
    assert found == {"false_fade": 0.25, "false_show": 0.5}


def test_queries_hold_one_mask_for_each_visible_object():
    batch = crowded_scenes(["noto"], 64, 6, seed=0)
    asked = queries(batch)
    assert len(asked.masks) == sum(map(len, asked.nouns)) == sum(map(len, batch.present))
    assert asked.masks.any(axis=(1, 2)).all()
    assert asked.images[0].size == (64, 64)


@pytest.mark.parametrize("source", ["validation", "test"])
def test_the_sources_do_not_overlap_training(source):
    assert set(builtin_card.sheets_of(source)).isdisjoint(builtin_card.sheets_of("train"))


def test_the_card_holds_every_figure():
    figures = card("train", singles=12, scenes=6)
    assert set(figures["localisation"]) == {"legrad", "raw_attention", "rollout", "random"}
    assert set(figures["localisation"]["legrad"]) == {"merged", *(f"layer {layer}" for layer in range(1, 7))}
    assert 0 <= figures["top1"] <= 1
    assert figures["localisation"]["legrad"]["merged"]["images"] == figures["prompts"]
    text = markdown(figures)
    assert "| legrad, layer 6 |" in text
    assert "| random |" in text
    assert f"**{figures['top1']:.3f}**" in text
