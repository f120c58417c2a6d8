"""Tiny labelled data sets and models to inspect: real library classes, made-up pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
from PIL import Image

import legrad_widget as lw
from legrad_widget.inspection import Inspection
from tests import specimens

NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]


def pictures(count: int = 12, height: int = 60, width: int = 60) -> list[np.ndarray]:
    """[H, W, 3] uint8 each."""
    return [specimens.picture(height, width, seed) for seed in range(count)]


def labels(count: int = 12, classes: int = 7) -> list[int]:
    """Label i is i modulo the number of classes."""
    return [index % classes for index in range(count)]


def classifier(**options: Any) -> lw.Model:
    return lw.wrap(specimens.timm_vit(**options), class_names=NAMES)


def clip(**options: Any) -> lw.Model:
    return lw.wrap(specimens.clip(**options), tokenizer=open_clip.get_tokenizer("ViT-B-32"))


def inspected(count: int = 12, model: lw.Model | None = None, **options: Any) -> Inspection:
    """An inspection that has run; nothing is kept on disk unless ``cache`` says so."""
    options = {"cache": False, **options}
    return Inspection(model or classifier(), pictures(count), labels(count), **options).run(False)


def folder(path: Path, per_class: int = 2) -> Path:
    """A folder of PNG files with one sub-folder per class."""
    for number, name in enumerate(NAMES):
        (path / name).mkdir(parents=True)
        for index in range(per_class):
            Image.fromarray(specimens.picture(seed=number + 10 * index)).save(path / name / f"{index}.png")
    return path
