"""One worker of a training run: model, optimisers, averaged weights and data, one step at a time.

Loss: the sigmoid (SigLIP) loss between every scene and every prompt, plus, with weight `dense`, the same loss between
every patch and every prompt, its target the share of the patch that the thing covers. The second term is mask
supervision, which composed scenes give for free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from .batches import SCALES, SUBJECTS, Batch, Scenes, patch_coverage, pixels_in
from .muon import Muon
from .network import LAYERS, PATCH, image_embeddings, new_network, resized, text_embeddings
from .plan import WARM_UP, Stage
from .prompts import Prompts, write_prompts
from .tokens import tokenizer

LARGEST_SCALE = 4.0  # of the logarithm of the logit scale
Weights = dict[str, Tensor]


@dataclass
class Position:
    """How far a run has come."""

    stage: int = 0
    step: int = 0  # within the stage
    total: int = 0  # over everything that these weights have been through
    images: int = 0


@dataclass(frozen=True)
class Setting:
    """What does not change within a run."""

    seed: int = 0
    dense: float = 1.0
    workers: int = 1
    textures: int = 30  # of each kind
    code: str = ""  # which sources run


class Trainer:
    """A model in training. Every step is a function of the weights, the seed, the worker's rank and the step number."""

    def __init__(self, plan: Sequence[Stage], setting: Setting, *, rank: int = 0, device: str = "cpu") -> None:
        self.plan, self.setting, self.rank, self.device = tuple(plan), setting, rank, torch.device(device)
        self.at, self.past = Position(), []  # type: Position, list[dict[str, Any]]
        self._tokenizer, self._tokens = tokenizer(), {}  # type: Any, dict[str, Tensor]
        self._build(new_network(self.stage.pixels, setting.seed).state_dict())

    @property
    def stage(self) -> Stage:
        """The stage that the next step belongs to."""
        return self.plan[self.at.stage]

    @property
    def finished(self) -> bool:
        """Whether the plan is done."""
        return self.at.stage + 1 == len(self.plan) and self.at.step == self.stage.steps

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every stage that these weights have been through, with the steps taken."""
        done = [*self.plan[: self.at.stage], *([replace(self.stage, steps=self.at.step)] if self.at.step else [])]
        return [*self.past, *({**asdict(stage), **asdict(self.setting)} for stage in done)]

    def _build(self, weights: Weights, average: Weights | None = None) -> None:
        """Make model, averaged weights, optimisers and scenes for the current stage."""
        pixels = self.stage.pixels
        self.model = new_network(pixels)
        self.model.load_state_dict(resized(weights, pixels))
        self.model.to(self.device)
        average = resized(average, pixels) if average else self.model.state_dict()
        self.average = {name: value.detach().clone().to(self.device) for name, value in average.items()}
        named = list(self.model.named_parameters())
        matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "resblocks" in name]
        tables = [p for n, p in named if "embedding" in n or p.ndim < 2]
        rest = [p for n, p in named if p.ndim >= 2 and "embedding" not in n and "resblocks" not in n]
        groups = [{"params": tables, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.05}]
        self.optimisers = [Muon(matrices, lr=0.0), torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98))]
        seed, textures = self.setting.seed, self.setting.textures
        self.scenes = Scenes(SCALES[pixels], seed=seed, rank=self.rank, each=textures)
        self._fresh = True  # the optimisers know nothing yet, so the rate warms up

    def step(self) -> tuple[float, float]:
        """Take one step; return the loss of scenes and the loss of patches."""
        rate = self.stage.rate_at(self.at.step, warm_up=WARM_UP if self._fresh else 0)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
        scene_loss, patch_loss = self._losses()
        (scene_loss + self.setting.dense * patch_loss).backward()
        self._share_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        for optimiser in self.optimisers:
            optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=LARGEST_SCALE)
        self._follow()
        self.at.step += 1
        self.at.total += 1
        self.at.images += self.stage.batch * self.setting.workers
        return scene_loss.item(), patch_loss.item()

    def _losses(self) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.setting.seed, self.rank, 6, self.at.total))
        batch = self.scenes.batch(self.stage.batch, self.at.total)
        prompts = write_prompts(rng, batch, pairs=8 if self.stage.pixels < 48 else 24)
        images = torch.from_numpy(pixels_in(batch.images, rng)).to(self.device)
        kept, skipped = self._kept(rng, len(images)), self._skipped(rng)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            seen = image_embeddings(self.model, images, kept, skipped)
            said = self._said(prompts)
        seen, said = F.normalize(seen.float(), dim=-1), F.normalize(said.float(), dim=-1)
        truth = torch.from_numpy(prompts.targets).to(self.device)
        scene_loss = self._sigmoid_loss(seen[:, 0], said, truth) / len(images)
        if not self.setting.dense:
            return scene_loss, torch.zeros((), device=self.device)
        cover = self._cover(batch, prompts, kept)
        patch_loss = self._sigmoid_loss(seen[:, 1:], said[: prompts.single], cover) / (len(images) * cover.shape[1])
        return scene_loss, patch_loss

    def _kept(self, rng: np.random.Generator, scenes: int) -> Tensor | None:
        """Return the patches to look at `[B, k]`, or None for all."""
        if self.stage.keep == 1:
            return None
        patches = (self.stage.pixels // PATCH) ** 2
        order = rng.random((scenes, patches)).argsort(1)
        return torch.from_numpy(order[:, : round(patches * self.stage.keep)]).to(self.device)

    def _skipped(self, rng: np.random.Generator) -> list[int]:
        """Return the vision blocks that this step leaves out."""
        return [layer for layer in range(LAYERS) if rng.random() < self.stage.drop * (layer + 1) / LAYERS]

    def _said(self, prompts: Prompts) -> Tensor:
        """Return the embeddings of prompts; pairs, which are longer, in a pass of their own."""
        for text in prompts.texts:
            if text not in self._tokens:
                self._tokens[text] = self._tokenizer([text])[0]
        tokens = torch.stack([self._tokens[text] for text in prompts.texts]).to(self.device)
        if len(self._tokens) > 50_000:
            self._tokens.clear()
        return torch.cat([text_embeddings(self.model, part) for part in tokens.tensor_split([prompts.single])])

    def _cover(self, batch: Batch, prompts: Prompts, kept: Tensor | None) -> Tensor:
        cover = torch.from_numpy(patch_coverage(batch, PATCH, prompts.single - len(SUBJECTS))).to(self.device)
        return cover if kept is None else cover.gather(1, kept[..., None].expand(-1, -1, cover.shape[-1]))

    def _sigmoid_loss(self, seen: Tensor, said: Tensor, truth: Tensor) -> Tensor:
        logits = self.model.logit_scale.exp() * seen @ said.T + self.model.logit_bias
        return F.binary_cross_entropy_with_logits(logits, truth, reduction="sum")

    def _share_gradients(self) -> None:
        """Average gradients over the workers, in one message."""
        if self.setting.workers == 1:
            return
        for parameter in self.model.parameters():
            if parameter.grad is None:  # of a block that this worker left out
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self.model.parameters()]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients]).cpu()
        dist.all_reduce(flat)
        flat /= self.setting.workers
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights a little towards the current ones."""
        keep = 0.995 if self.stage.decay or self.stage.pixels < 48 else 0.998
        if self._fresh:
            keep = min(keep, (1 + self.at.step) / (10 + self.at.step))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)

    def next_stage(self) -> None:
        """Go on to the next stage; another image size starts from the averaged weights and new optimisers."""
        before, self.at.stage, self.at.step = self.stage, self.at.stage + 1, 0
        if self.stage.pixels != before.pixels:
            self._build(self.average)
        else:
            self._fresh = False

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs; the data need only the step number."""
        return {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "fresh": self._fresh,
            "plan": [asdict(stage) for stage in self.plan],
            "setting": asdict(self.setting),
            "at": asdict(self.at),
            "past": self.past,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on exactly where a checkpoint stopped, with its plan and setting."""
        self.plan = tuple(Stage(**stage) for stage in state["plan"])
        self.setting, self.at, self.past = Setting(**state["setting"]), Position(**state["at"]), list(state["past"])
        self._load(state)

    def start_from(self, state: dict[str, Any]) -> None:
        """Begin this trainer's plan with a checkpoint's weights, and at the same image size with its optimisers."""
        ended = Position(**state["at"])
        plan = [Stage(**stage) for stage in state["plan"]]
        done = [*plan[: ended.stage], *([replace(plan[ended.stage], steps=ended.step)] if ended.step else [])]
        self.past = [*state["past"], *({**asdict(stage), **state["setting"]} for stage in done)]
        self.at = Position(total=ended.total, images=ended.images)
        if plan[ended.stage].pixels == self.stage.pixels:
            self._load(state)
            self._fresh = False
        else:
            self._build(state["average"])

    def warm_start(self, weights: Weights, past: list[dict[str, Any]], total: int, images: int) -> None:
        """Begin this trainer's plan with finished weights."""
        self.past, self.at = list(past), Position(total=total, images=images)
        self._build(weights)

    def _load(self, state: dict[str, Any]) -> None:
        self._build(state["model"], state["average"])
        for optimiser, held in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(held)
        self._fresh = state["fresh"]
