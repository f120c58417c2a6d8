"""Prompts to unit vectors: one text forward per new prompt, cached by string."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..target import TargetError
from .capture import evaluation_mode, lock_of

Tokenizer = Callable[[list[str]], Tensor]


class TokenizerError(ValueError):
    """The tokenizer does not fit the model's text tower."""


class TextEncoder:
    """The text tower of a CLIP with its tokenizer; unit vectors [E] float32, the last ``remember`` prompts kept."""

    def __init__(self, clip: nn.Module, tokenizer: Tokenizer, *, remember: int = 4096):
        self._clip, self._tokenizer, self._remember = clip, tokenizer, remember
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = lock_of(clip)  # the model's own lock: a second one could be taken in the other order
        self._context, self._vocabulary = _text_sizes(clip)
        self._tokenize(["a photo of a cat"])

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors [P, E] of the prompts, each used exactly as typed.

        Raises:
            TargetError: a prompt is longer than the text tower reads.
        """
        with self._lock:
            new = [p for p in dict.fromkeys(prompts) if p not in self._known]
            if new:
                self._known.update(zip(new, self._encode(new), strict=True))
            vectors = [self._known[p] for p in prompts]
            for prompt in prompts:
                self._known.move_to_end(prompt)
            while len(self._known) > self._remember:
                self._known.popitem(last=False)
        return torch.stack(vectors)

    def forget(self) -> None:
        """Drop the cache, after the text tower's weights were changed."""
        with self._lock:
            self._known.clear()

    def _encode(self, prompts: list[str]) -> Tensor:
        tokens = self._tokenize(prompts)
        clip: Any = self._clip
        with evaluation_mode(self._clip), torch.inference_mode(False), torch.no_grad():
            vectors = clip.encode_text(tokens.to(next(self._clip.parameters()).device))
        vectors = F.normalize(vectors.float(), dim=-1)
        if not torch.isfinite(vectors).all():
            raise TokenizerError("the text tower returns NaN or inf; its weights are damaged. Load the model again")
        return vectors

    def _tokenize(self, prompts: list[str]) -> Tensor:
        for prompt in prompts:
            self._check_length(prompt)
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
        return tokens

    def _check_length(self, prompt: str) -> None:
        """A prompt that the tokenizer would cut silently is refused."""
        encode = getattr(self._tokenizer, "encode", None)
        if encode is None or self._context is None:
            return
        length = len(encode(prompt)) + 2
        if length > self._context:
            raise TargetError(
                f"the prompt has {length} tokens and this model reads {self._context}; shorten it: {prompt[:60]!r}"
            )


def _text_sizes(clip: Any) -> tuple[int | None, int | None]:
    """Context length and vocabulary size of a CLIP's text tower, where it tells."""
    text = getattr(clip, "text", clip)
    return getattr(clip, "context_length", getattr(text, "context_length", None)), getattr(
        clip, "vocab_size", getattr(text, "vocab_size", None)
    )
