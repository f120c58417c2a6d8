"""What the built-in model has words for, and honest answers about words that it never saw."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from .nouns import BACKGROUNDS, NOUNS, PAIR_TEMPLATES, TEMPLATES, names

# Kinds of things: the model never saw these words, but a person may try them first.
KINDS: dict[str, tuple[str, ...]] = {
    "animal": ("dog", "cat", "elephant", "lion", "rabbit"),
    "pet": ("dog", "cat", "rabbit", "fish"),
    "bird": ("duck", "owl", "eagle", "penguin", "chicken"),
    "insect": ("bee", "butterfly", "ant", "ladybug"),
    "bug": ("ladybug", "bee", "ant", "spider"),
    "plant": ("tree", "cactus", "rose", "clover"),
    "flower": ("rose", "sunflower", "tulip"),
    "fruit": ("apple", "banana", "strawberry", "pear", "lemon"),
    "vegetable": ("carrot", "tomato", "corn", "eggplant"),
    "food": ("pizza", "hamburger", "bread", "cheese", "cake"),
    "dessert": ("cake", "ice cream", "doughnut", "cookie"),
    "drink": ("coffee", "beer", "wine"),
    "vehicle": ("car", "bus", "truck", "bicycle", "train"),
    "toy": ("balloon", "football", "rocket"),
    "sport": ("football", "basketball"),
    "instrument": ("guitar", "violin", "trumpet", "saxophone", "piano"),
    "music": ("guitar", "violin", "trumpet", "saxophone", "piano"),
    "clothes": ("shirt", "dress", "hat", "shoe"),
    "jewelry": ("ring", "crown", "watch"),
    "tool": ("hammer", "scissors", "pencil", "key"),
    "building": ("house", "castle", "tent"),
    "weather": ("sun", "cloud", "umbrella", "snowman"),
    "shape": ("star", "heart", "moon"),
}

FAVOURITES = ("cat", "pizza", "rocket")  # when nothing is alike
ALIKE = 0.6  # similarity from which a spelling is worth suggesting


def words_of(prompt: str) -> tuple[str, ...]:
    """Split a prompt of any script into words, lower case; runs of symbols (emoji) are words, punctuation is not."""
    text = re.sub(r"(?<=\w)['’]s\b", "", unicodedata.normalize("NFKC", prompt).casefold())
    return tuple("".join(run) for kind, run in groupby(text, _kind) if kind)


def _kind(character: str) -> str:
    """Return "word", "symbol", or "" for what only separates words."""
    category = unicodedata.category(character)
    if category[0] in "LNM" and category != "Me":
        return "symbol" if "\ufe00" <= character <= "\ufe0f" else "word"
    if character == "\u200d" or (category[0] in "SM" and not character.isascii()):
        return "symbol"
    return ""


@dataclass(frozen=True)
class Vocabulary:
    """The words of the built-in model.

    Attributes:
        nouns: the things that it was trained to find.
        backgrounds: the grounds that it was trained to recognise.
    """

    nouns: tuple[str, ...] = NOUNS
    backgrounds: tuple[str, ...] = BACKGROUNDS
    _names: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = {name: noun for noun in (*self.nouns, *self.backgrounds) for name in reversed(names(noun))}
        object.__setattr__(self, "_names", known)

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word of the sentences it was trained on: nouns, synonyms, plurals and the words around them."""
        return frozenset(word for sentence in self._sentences() for word in words_of(sentence))

    def _sentences(self) -> Iterator[str]:
        yield from self._names
        yield from (template.replace("{}", " ") for template in (*TEMPLATES, *PAIR_TEMPLATES))

    def noun(self, name: str) -> str | None:
        """Return the noun or background that a name, synonym or plural stands for, or None."""
        return self._names.get(" ".join(words_of(name)))

    def unknown(self, prompt: str) -> tuple[str, ...]:
        """Return the words of a prompt that the model never saw, each once, in order, in lower case."""
        return tuple(dict.fromkeys(word for word in words_of(prompt) if word not in self.words))

    def suggest(self, word: str, n: int = 3) -> tuple[str, ...]:
        """Return up to `n` nouns to try instead: of the same kind, spelled alike, or well-known ones."""
        word = " ".join(words_of(word))
        for kind in (word, word.removesuffix("s")):
            if kind in KINDS:
                return KINDS[kind][:n]
        likeness = {name: self._alike(word, name) for name in self._names}
        ranked = sorted(
            (name for name in likeness if likeness[name] >= ALIKE), key=lambda name: (-likeness[name], name)
        )
        return _first_distinct((*(self._names[name] for name in ranked), *FAVOURITES, *self.nouns), n)

    @staticmethod
    def _alike(word: str, name: str) -> float:
        start = sum(1 for a, b in zip(word[:3], name[:3], strict=False) if a == b)
        return difflib.SequenceMatcher(None, word[:40], name).ratio() + 0.1 * start

    def about(self, prompt: str) -> str | None:
        """Return a sentence about the words of a prompt that the model does not know, or None if it knows them all."""
        unknown = self.unknown(prompt)
        if not unknown:
            return None
        shown = [f"'{word if len(word) <= 30 else word[:29] + '…'}'" for word in unknown[:3]]
        if len(unknown) > 3:
            shown.append(f"{len(unknown) - 3} more")
        listed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
        tried = _first_distinct((noun for word in unknown[:3] for noun in self.suggest(word)), 3)
        return f"the built-in model does not know {listed}; try: {', '.join(map(repr, tried))}"


def _first_distinct(items: Iterable[str], n: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))[:n]
