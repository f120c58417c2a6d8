"""Quick measures while training runs: recognition on a training source and on the validation source."""

from __future__ import annotations

from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .batches import Batch, pixels_in
from .held_out import crowded_scenes, single_scenes
from .network import image_embeddings, text_embeddings
from .nouns import NOUNS
from .tokens import tokenizer

Array = NDArray[Any]


class Progress:
    """Fixed scenes of one size and how well a model recognises what they show."""

    def __init__(self, pixels: int, scenes: int) -> None:
        self.pixels, self.scenes = pixels, scenes
        sizes = (0.5, 0.9) if pixels < 48 else (0.36, 0.6)
        self._singles = {
            "train_top1": single_scenes(["noto"], pixels, scenes, seed=1, sizes=sizes),
            "validation_top1": single_scenes(["streamline"], pixels, scenes, seed=2, sizes=sizes),
        }
        crowded = pixels >= 48  # smaller scenes hold one object
        self._crowds = {"validation_map": crowded_scenes(["streamline"], pixels, scenes, seed=3)} if crowded else {}

    @torch.no_grad()
    def measure(self, model: open_clip.CLIP) -> dict[str, float]:
        """Return top-1 over all nouns, and the mean average precision of the nouns within scenes of several."""
        tokens = tokenizer()([f"a photo of a {noun}" for noun in NOUNS]).to(model.logit_scale.device)
        said = F.normalize(text_embeddings(model, tokens), dim=-1)
        top1 = {name: _top1(_cosines(model, batch, said), batch) for name, batch in self._singles.items()}
        return top1 | {name: _ranking(_cosines(model, batch, said), batch) for name, batch in self._crowds.items()}


def _cosines(model: open_clip.CLIP, batch: Batch, said: Tensor) -> Array:
    images = torch.from_numpy(pixels_in(batch.images)).to(said.device)
    seen = torch.cat([image_embeddings(model, part)[:, 0] for part in images.split(64)])
    return np.asarray((F.normalize(seen, dim=-1) @ said.T).cpu().numpy())


def _top1(cosines: Array, batch: Batch) -> float:
    best = cosines.argmax(1)
    return float(np.mean([best[i] == present[0] for i, present in enumerate(batch.present) if present]))


def _ranking(cosines: Array, batch: Batch) -> float:
    precisions = []
    for scores, present in zip(cosines, batch.present, strict=True):
        hit = np.isin(np.argsort(-scores), present)
        precisions.append((np.cumsum(hit) / np.arange(1, len(hit) + 1))[hit].mean())
    return float(np.mean(precisions))
