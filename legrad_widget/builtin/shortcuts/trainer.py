"""The classifier in training: cross-entropy on labels alone, one step at a time, nothing about masks or cues."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..batches import pixels_in
from ..muon import Muon
from .lessons import Lessons
from .network import new_classifier

WARM_UP = 60  # steps to the full rate


@dataclass(frozen=True, slots=True)
class Course:
    """What a run does.

    Attributes:
        steps, batch: optimiser steps, and scenes in each.
        rate: learning rate after the warm-up; over the last third it falls linearly to zero.
        seed: of weights and scenes.
        textures: how many of each kind of background.
    """

    steps: int
    batch: int = 48
    rate: float = 2e-3
    seed: int = 0
    textures: int = 40

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.rate * min(1.0, (step + 1) / WARM_UP, 3 * (1 - step / self.steps))


class ShortcutTrainer:
    """Model, optimisers, averaged weights and scenes; a step is a function of weights, seed and step number."""

    def __init__(self, course: Course) -> None:
        self.course, self.step_number = course, 0
        self.model = new_classifier(course.seed)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        named = list(self.model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and name.startswith("blocks.")]
        rest = [p for name, p in named if not (p.ndim == 2 and name.startswith("blocks."))]
        self.optimisers = [Muon(matrices, lr=0.0), torch.optim.AdamW(rest, lr=0.0, betas=(0.9, 0.98))]
        self.lessons = Lessons(course.seed, textures=course.textures)

    @property
    def finished(self) -> bool:
        """Whether the course is done."""
        return self.step_number == self.course.steps

    def step(self) -> float:
        """Take one step; return the loss."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.course.rate_at(self.step_number)
            optimiser.zero_grad(set_to_none=True)
        images, classes, _ = self.lessons.batch(self.course.batch, self.step_number)
        rng = np.random.default_rng((self.course.seed, 33, self.step_number))
        logits = self.model(torch.from_numpy(pixels_in(images, rng)))
        loss = F.cross_entropy(logits, torch.from_numpy(classes))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step_number += 1
        self._follow()
        return loss.item()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights a little towards the current ones."""
        keep = min(0.99, self.step_number / (10 + self.step_number))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs; the scenes need only the step number."""
        return {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "course": asdict(self.course),
            "step": self.step_number,
        }

    @classmethod
    def resumed(cls, state: dict[str, Any]) -> ShortcutTrainer:
        """Return a trainer that goes on exactly where a checkpoint stopped, with its course."""
        trainer = cls(Course(**state["course"]))
        trainer.step_number, trainer.average = state["step"], state["average"]
        trainer.model.load_state_dict(state["model"])
        for optimiser, held in zip(trainer.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(held)
        return trainer
