"""Prompts for a batch of scenes and what is true of each: things, grounds, pairs, and words that name nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batches import SUBJECTS, Batch
from .nouns import NOUNS, PAIR_TEMPLATES, TEMPLATES, names

Array = NDArray[Any]
CONSONANTS, VOWELS = "bcdfghjklmnprstvwxz", "aeiou"
KNOWN = frozenset(word for subject in SUBJECTS for name in names(subject) for word in name.split())


def pseudo_word(rng: np.random.Generator) -> str:
    """Return a pronounceable word that names nothing; sometimes it ends in a known word, as 'xylophone' does."""
    while True:
        word = "".join(
            CONSONANTS[rng.integers(0, len(CONSONANTS))] + VOWELS[rng.integers(0, 5)]
            + ("" if rng.random() < 0.6 else CONSONANTS[rng.integers(0, len(CONSONANTS))])
            for _ in range(int(rng.integers(1, 4)))
        )  # fmt: skip
        if rng.random() < 0.3:
            known = NOUNS[rng.integers(0, len(NOUNS))].split()[0]
            word = word + known if rng.random() < 0.5 else known + word
        if word not in KNOWN:
            return word


@dataclass(frozen=True)
class Prompts:
    """Prompts of one step: each subject once, then words that name nothing, then pairs."""

    texts: tuple[str, ...]  # [P]
    targets: Array  # [B, P] float32, 1 where the scene shows all that the prompt names
    single: int  # the first `single` prompts name at most one thing


def write_prompts(rng: np.random.Generator, batch: Batch, *, pseudo: int = 12, pairs: int = 24) -> Prompts:
    """Return the prompts of a batch and what is true of each scene."""
    texts = [_template(rng, TEMPLATES).format(_name(rng, subject)) for subject in SUBJECTS]
    texts += [_template(rng, TEMPLATES).format(pseudo_word(rng)) for _ in range(pseudo)]
    truth = np.zeros((len(batch.present), len(SUBJECTS) + pseudo + pairs), np.float32)
    for i, present in enumerate(batch.present):
        truth[i, list(present)] = 1
    named = np.flatnonzero(batch.backgrounds >= 0)
    truth[named, len(NOUNS) + batch.backgrounds[named]] = 1
    single = len(SUBJECTS) + pseudo
    for j in range(pairs):
        a, b = _pair(rng, batch)
        texts.append(_template(rng, PAIR_TEMPLATES).format(SUBJECTS[a], SUBJECTS[b]))
        truth[:, single + j] = truth[:, a] * truth[:, b]
    return Prompts(tuple(texts), truth, single)


def _template(rng: np.random.Generator, templates: Sequence[str]) -> str:
    return templates[int(rng.integers(0, len(templates)))]


def _name(rng: np.random.Generator, subject: str) -> str:
    known = names(subject)
    return subject if rng.random() < 0.6 else known[int(rng.integers(0, len(known)))]


def _pair(rng: np.random.Generator, batch: Batch) -> tuple[int, int]:
    """Return two subjects: mostly two of one scene, sometimes one of them wrong, sometimes one the background."""
    i = int(rng.integers(0, len(batch.present)))
    present = batch.present[i]
    if len(present) < 2 or rng.random() < 0.15:
        a, b = (int(noun) for noun in rng.integers(0, len(NOUNS), 2))
    else:
        a, b = (int(noun) for noun in rng.permutation(present)[:2])
    if rng.random() < 0.2:
        b = int(rng.integers(0, len(NOUNS)))
    if present and batch.backgrounds[i] >= 0 and rng.random() < 0.15:
        a, b = int(present[0]), len(NOUNS) + int(batch.backgrounds[i])
    return a, b
