"""The classifier that learned the shortcuts: a stock timm VisionTransformer, from the files beside this one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .network import new_classifier

FOLDER = Path(__file__).parent / "weights"
WEIGHTS, MANIFEST = "shortcuts.safetensors", "manifest.json"
STORY = "story.json"  # which maps find the causes, with the hash of the weights that this holds for


def load_classifier(device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> nn.Module:
    """Load the classifier in eval mode, offline: 64-pixel images, eight classes (`world.CLASSES`), class-token readout.

    Args:
        device: where to put it.
        dtype: a floating-point dtype (default: float32; the file holds float16).

    Raises:
        FileNotFoundError: the installation lacks the weights.
    """
    if not (FOLDER / WEIGHTS).exists():
        raise FileNotFoundError(
            f"the weights of the shortcut classifier are missing ({WEIGHTS}); install the package again, or train "
            "them: python -m legrad_widget.builtin.shortcuts.train --run FOLDER, then --export FOLDER/last.pt"
        )
    model = new_classifier()
    model.load_state_dict({name: value.float() for name, value in load_file(FOLDER / WEIGHTS).items()})
    return model.eval().to(device=device, dtype=dtype)


def manifest() -> dict[str, Any]:
    """Return how the shipped weights were made, and how well they do."""
    held: dict[str, Any] = json.loads((FOLDER / MANIFEST).read_text(encoding="utf-8"))
    return held


def story() -> dict[str, Any]:
    """Return what `python -m legrad_widget.evaluate.shortcut_story` found: which maps show what made the errors.

    Raises:
        ValueError: it was found with other weights.
    """
    held: dict[str, Any] = json.loads((FOLDER / STORY).read_text(encoding="utf-8"))
    if held["sha256"] != manifest()["sha256"]:
        raise ValueError(
            "the story was told of other weights: python -m legrad_widget.evaluate.shortcut_story --record"
        )
    return held


def weights_hash(folder: Path = FOLDER) -> str:
    """Return the sha256 of the weights file."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def export(weights: dict[str, Tensor], about: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write weights (float16 safetensors) and the manifest; return the weights file."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: value.detach().cpu().half().contiguous() for name, value in weights.items()}
    save_file(halves, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors makes it private to its writer
    about = {**about, "sha256": weights_hash(folder)}
    (folder / MANIFEST).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return folder / WEIGHTS
