"""The built-in model's tokenizer: open_clip's own, with merges learned from the words of the built-in world.

Every known word is one token, so the vocabulary is 1,300 entries instead of CLIP's 49,408; an unknown word falls
apart into byte pairs and stays legal input.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from .nouns import BACKGROUNDS, FILLER, NOUNS, PAIR_TEMPLATES, TEMPLATES, names

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

MERGES = Path(__file__).parent / "assets" / "merges.txt.gz"
CONTEXT_LENGTH = 32


def word_counts() -> Counter[str]:
    """Return every word of the built-in world with how often its sentences use it."""
    sentences = [name for noun in (*NOUNS, *BACKGROUNDS) for name in names(noun)]
    sentences += [template.replace("{}", " ") for template in (*TEMPLATES, *PAIR_TEMPLATES)] + list(FILLER)
    return Counter(word for sentence in sentences for word in re.findall(r"[a-z]+", sentence.lower()))


def learn_merges(counts: Counter[str]) -> list[tuple[str, str]]:
    """Return byte-pair merges, most frequent first (ties alphabetical), until each word is one token."""
    pieces = {word: (*word[:-1], word[-1] + "</w>") for word in counts}
    merges: list[tuple[str, str]] = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            return merges
        best = min(pairs.items(), key=lambda item: (-item[1], item[0]))[0]
        merges.append(best)
        pieces = {word: _merged(parts, best) for word, parts in pieces.items()}


def _merged(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


def write_merges(path: Path = MERGES) -> int:
    """Write the merges file in CLIP's format (bit-equal each time) and return the number of merges."""
    merges = learn_merges(word_counts())
    text = "\n".join(["#version: 0.2", *(" ".join(merge) for merge in merges)])
    with path.open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
        packed.write(text.encode())
    return len(merges)


def tokenizer() -> SimpleTokenizer:
    """Return the tokenizer: a list of prompts to a LongTensor `[P, 32]`."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(bpe_path=str(MERGES), context_length=CONTEXT_LENGTH)


if __name__ == "__main__":
    sys.stdout.write(f"{write_merges()} merges\n")
