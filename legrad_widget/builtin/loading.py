"""Load the built-in model: a real `open_clip.CLIP`, from the files beside this one."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .vocabulary import Vocabulary

if TYPE_CHECKING:
    import open_clip

FOLDER = Path(__file__).parent / "weights"
WEIGHTS, CONFIGURATION, MANIFEST = "open_clip_model.safetensors", "open_clip_config.json", "manifest.json"
LAYERS = "layers.json"  # which layers beat chance, with the hash of the weights that this holds for
TRANSLATORS = "translators.safetensors"  # the fitted lens, made together with LAYERS


@dataclass(frozen=True, eq=False)
class Builtin:
    """The built-in model and what belongs to it.

    Attributes:
        clip: an `open_clip.CLIP` in eval mode: 64-pixel images, 8-pixel patches, six blocks, class-token readout,
            sigmoid scores (`logit_scale`, `logit_bias`).
        preprocess: PIL image to `[3, 64, 64]`.
        tokenizer: list of prompts to LongTensor `[P, 32]`.
        vocabulary: the words that it knows.
        manifest: how it was trained, on what, and how well it does.
    """

    clip: open_clip.CLIP
    preprocess: Callable[[Any], Tensor]
    tokenizer: Callable[[list[str]], Tensor]
    vocabulary: Vocabulary
    manifest: dict[str, Any]


def load(device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Builtin:
    """Load the built-in model, offline, in well under a second.

    Args:
        device: where to put it.
        dtype: a floating-point dtype (default: float32; the file holds float16).

    Raises:
        TypeError: dtype is not a floating-point dtype.
        FileNotFoundError: the installation lacks the weights.
    """
    import open_clip

    from .tokens import tokenizer

    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"dtype is a floating-point dtype such as torch.float16, not {dtype!r}")
    _present()
    clip, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{FOLDER}", device="cpu")
    clip = clip.eval().to(device=device, dtype=dtype)
    return Builtin(clip, preprocess, tokenizer(), Vocabulary(), manifest())


def manifest() -> dict[str, Any]:
    """Return how the shipped weights were made, and how well they do."""
    held: dict[str, Any] = json.loads((FOLDER / MANIFEST).read_text(encoding="utf-8"))
    return held


def layer_calibration() -> dict[str, Any] | None:
    """Return which layers of the shipped weights beat chance; None where that was found for other weights, or not."""
    path = FOLDER / LAYERS
    if not path.exists():
        return None
    held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return held if held["sha256"] == manifest()["sha256"] else None


def translators_file() -> Path:
    """Return where the fitted lens lies that belongs to the layer calibration."""
    return FOLDER / TRANSLATORS


def weights_hash() -> str:
    """Return the sha256 of the shipped weights file."""
    return hashlib.sha256((FOLDER / WEIGHTS).read_bytes()).hexdigest()


def shipped_weights() -> dict[str, Tensor]:
    """Return the shipped weights in float32, by open_clip's names."""
    from safetensors.torch import load_file

    _present()
    return {name: value.float() for name, value in load_file(FOLDER / WEIGHTS).items()}


def _present() -> None:
    if not (FOLDER / WEIGHTS).exists():
        raise FileNotFoundError(
            f"the built-in weights are missing ({WEIGHTS}); install the package again, "
            "or train them: python -m legrad_widget.builtin.train --run FOLDER, then --export FOLDER/last.pt"
        )


def export(weights: dict[str, Tensor], about: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write weights (float16 safetensors), open_clip's configuration and the manifest; return the weights file."""
    from safetensors.torch import save_file

    from .network import MEAN, PATCH, STD, configuration

    folder.mkdir(parents=True, exist_ok=True)
    pixels = PATCH * math.isqrt(len(weights["visual.positional_embedding"]) - 1)
    architecture = configuration(pixels)
    scale = architecture.pop("init_logit_scale")
    settings = {
        "model_cfg": {**architecture, "init_logit_scale": scale},
        "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"},
    }
    (folder / CONFIGURATION).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    halves = {name: value.detach().cpu().half().contiguous() for name, value in weights.items()}
    save_file(halves, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors makes it private to its writer
    about = {**about, "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return folder / WEIGHTS
