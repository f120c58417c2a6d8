"""The short form of tests/bench/inspection_scale.py: what grows with the samples, and what must not."""

from __future__ import annotations

import tracemalloc

import numpy as np

import legrad_widget as lw
from legrad_widget.inspection import Inspection
from tests import specimens
from tests.bench.inspection_scale import CLASSES, Drawn, held, measure

THUMBNAIL, RECORD = (
    7000,
    600,
)  # bytes a sample may take: a JPEG of 96 x 96 pixels of noise, a record of so small a model


def test_a_restart_computes_nothing_and_every_picture_goes_through_once(tmp_path):
    found = measure(400, tmp_path)
    assert found.forwards == 400
    assert found.forwards_again == 0
    assert found.held_per_sample_bytes < THUMBNAIL + RECORD


def test_what_is_held_grows_with_the_samples_and_pictures_are_let_go():
    """200 pictures of 0.8 MB each pass through; what stays of each is its record and its thumbnail."""

    class Large(Drawn):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return np.tile(image, (11, 11, 1)), label

    model = lw.wrap(specimens.timm_vit(), class_names=CLASSES)
    r = Inspection(model, Large(200), cache=False, batch=8)
    stream = r.stream()
    next(stream)
    tracemalloc.start()
    try:
        for _ in stream:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert r.complete
    assert held(r) < 200 * (THUMBNAIL + RECORD)
    assert peak < 8 * 6 * 528 * 528 * 3 + 200 * 4 * (THUMBNAIL + RECORD)  # a batch of them, not all


def test_records_of_a_large_model_stay_small():
    from legrad_widget.inspection.scoring import record_type

    assert record_type(12, 768, 1000).itemsize < 2000  # ViT-B/16 on ImageNet: 20 MB for 10 000 samples
    assert record_type(24, 1024, 21_843).itemsize < 3000  # the number of classes does not matter
