"""Prompts to unit vectors, alone or averaged: one text forward per new prompt, cached by string."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..target import TargetError
from .capture import evaluation_mode, plain_arithmetic
from .live import fingerprint

Tokenizer = Callable[[list[str]], Tensor]


class TokenizerError(ValueError):
    """The tokenizer does not fit the model's text tower."""


class TextEncoder:
    """The text tower of a CLIP with its tokenizer; unit vectors [E] float32, the last ``remember`` prompts kept."""

    def __init__(
        self, clip: nn.Module, tokenizer: Tokenizer, lock: AbstractContextManager[Any], *, remember: int = 4096
    ):
        if not callable(tokenizer):
            raise TypeError(
                "a tokenizer is a function, e.g. open_clip.get_tokenizer(architecture); "
                f"this is {type(tokenizer).__name__}"
            )
        self._clip, self._tokenizer, self._lock, self._remember = clip, tokenizer, lock, remember
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self._weights = fingerprint(clip)
        self._context, self._vocabulary = _text_sizes(clip)
        self._tokenize(["a photo of a cat"])

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors [P, E] of the prompts, each used exactly as typed.

        Raises:
            TargetError: a prompt is longer than the text tower reads.
        """
        with self._lock:
            if self._weights != (weights := fingerprint(self._clip)):
                self._weights = weights
                self._known.clear()
            new = [p for p in dict.fromkeys(prompts) if p not in self._known]
            if new:
                self._known.update(zip(new, self._encode(new), strict=True))
            vectors = [self._known[p] for p in prompts]
            for prompt in prompts:
                self._known.move_to_end(prompt)
            while len(self._known) > self._remember:
                self._known.popitem(last=False)
        return torch.stack(vectors)

    def averages(self, groups: Sequence[Sequence[str]]) -> Tensor:
        """Unit vectors [P, E], each along the mean of its group's unit vectors; new prompts of all groups together.

        A group of one is that prompt's vector. Raises as calling does.
        """
        vectors = self([prompt for group in groups for prompt in group]).split([len(group) for group in groups])
        return torch.stack([v[0] if len(v) == 1 else F.normalize(v.mean(0), dim=0) for v in vectors])

    def _encode(self, prompts: list[str]) -> Tensor:
        tokens = self._tokenize(prompts)
        clip: Any = self._clip
        device = next(self._clip.parameters()).device
        with evaluation_mode(self._clip), plain_arithmetic(device):
            vectors = F.normalize(clip.encode_text(tokens.to(device)).float(), dim=-1)
        if not torch.isfinite(vectors).all():
            raise TokenizerError("the text tower returns NaN or inf; its weights are damaged. Load the model again")
        return vectors

    def _tokenize(self, prompts: list[str]) -> Tensor:
        tokens = self._tokenizer(prompts)
        if not isinstance(tokens, Tensor) or tokens.ndim != 2 or tokens.is_floating_point():
            raise TokenizerError(
                "a tokenizer takes a list of strings and returns an integer tensor [P, context]; this one returns "
                f"{list(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__}. "
                "Use open_clip.get_tokenizer(architecture)"
            )
        if self._context is not None and tokens.shape[1] != self._context:
            raise TokenizerError(
                f"the tokenizer returns {tokens.shape[1]} tokens a prompt, the text tower reads {self._context}; "
                "use the tokenizer of this architecture: open_clip.get_tokenizer(architecture)"
            )
        size = getattr(self._tokenizer, "vocab_size", None)
        if self._vocabulary is not None and (
            int(tokens.max()) >= self._vocabulary or size not in (None, self._vocabulary)
        ):
            raise TokenizerError(
                f"the tokenizer has {size or int(tokens.max()) + 1} tokens, the text tower {self._vocabulary}; "
                "use the tokenizer of this architecture: open_clip.get_tokenizer(architecture)"
            )
        for prompt in prompts:
            self._check_length(prompt)
        return tokens

    def _check_length(self, prompt: str) -> None:
        """A prompt that the tokenizer would cut silently is refused."""
        encode = getattr(self._tokenizer, "encode", None)
        if self._context is None or not prompt.strip():
            return
        if encode is not None:
            cut = len(encode(prompt)) + 2 > self._context
        else:  # only where what follows makes no difference has something been cut
            cut = torch.equal(*(self._tokenizer([text]) for text in (prompt, f"{prompt} cat")))
        if cut:
            raise TargetError(f"the prompt has more than the {self._context} tokens that this model reads; shorten it")


def _text_sizes(clip: Any) -> tuple[int | None, int | None]:
    """Context length and vocabulary size of a CLIP's text tower, where it tells."""
    text = getattr(clip, "text", clip)
    return getattr(clip, "context_length", getattr(text, "context_length", None)), getattr(
        clip, "vocab_size", getattr(text, "vocab_size", None)
    )
