"""What a training run is going to do: a list of stages, written as text."""

from __future__ import annotations

from dataclasses import dataclass

from .batches import SCALES

DEFAULT = "32:1800:192:2.5e-3,64:5700:96:2e-3:keep=0.6:drop=0.4,64:1000:96:1.6e-3:keep=0.8:drop=0.2:decay"
WARM_UP = 60  # steps to the full rate when the optimisers start from nothing


class PlanError(ValueError):
    """A plan that cannot be read."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of training at one image size.

    Attributes:
        pixels: width and height of the scenes.
        steps: how many optimiser steps.
        batch: scenes per step and worker.
        rate: learning rate, constant after a short warm-up; with `decay` it falls linearly to zero.
        keep: share of the patches that are looked at, chosen at random for each scene.
        drop: chance of leaving out the last vision block in a step, falling linearly towards the first (stochastic
            depth, Huang et al. 2016, for whole batches and not rescaled). It saves time, and keeps what every block
            writes readable for the blocks after it and for the readout.
        decay: whether this is a cool-down.
    """

    pixels: int
    steps: int
    batch: int
    rate: float
    keep: float = 1.0
    drop: float = 0.0
    decay: bool = False

    @staticmethod
    def parse(text: str) -> Stage:
        """Read `pixels:steps:batch:rate[:keep=share][:drop=chance][:decay]`.

        Raises:
            PlanError: the text is something else.
        """
        try:
            pixels, steps, batch, rate, *options = text.strip().split(":")
            shares = dict(option.split("=") for option in options if option != "decay")
            keep, drop = float(shares.pop("keep", 1)), float(shares.pop("drop", 0))
            stage = Stage(int(pixels), int(steps), int(batch), float(rate), keep, drop, "decay" in options)
            if shares or stage.pixels not in SCALES or not stage.valid:
                raise ValueError
        except (ValueError, TypeError):
            sizes = ", ".join(map(str, SCALES))
            raise PlanError(
                "a stage is written pixels:steps:batch:rate[:keep=share][:drop=chance][:decay], "
                f"pixels one of {sizes}; arrived: {text!r}"
            ) from None
        return stage

    @property
    def valid(self) -> bool:
        """Whether every number makes sense."""
        return self.steps > 0 and self.batch > 0 and self.rate > 0 and 0 < self.keep <= 1 and 0 <= self.drop < 1

    def rate_at(self, step: int, *, warm_up: int = 0) -> float:
        """Return the learning rate of a step of this stage."""
        if self.decay:
            return self.rate * (1 - step / self.steps)
        return self.rate * min(1.0, (step + 1) / max(1, warm_up))


def parse(text: str) -> tuple[Stage, ...]:
    """Read stages separated by commas."""
    return tuple(Stage.parse(part) for part in text.split(","))
