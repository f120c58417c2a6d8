"""Words: what the built-in model knows, and honest answers about the rest."""

import pytest

from legrad_widget.builtin import Vocabulary
from legrad_widget.builtin.nouns import BACKGROUNDS, NOUNS, SYNONYMS, names
from legrad_widget.builtin.tokens import MERGES, tokenizer, word_counts, write_merges
from legrad_widget.builtin.vocabulary import words_of

WORDS = Vocabulary()


def test_it_has_more_than_a_hundred_nouns_each_once():
    assert len(set(WORDS.nouns)) == len(WORDS.nouns) == 137
    assert set(SYNONYMS) <= {*NOUNS, *BACKGROUNDS}


def test_no_name_stands_for_two_things():
    every = [name for noun in (*NOUNS, *BACKGROUNDS) for name in set(names(noun))]
    assert {name for name in every if every.count(name) > 1} == set()


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("a photo of a cat", ()),
        ("A Photo Of A CAT!", ()),
        ("two wolves", ("two",)),
        ("ice-cream and a t-shirt", ()),
        ("the cat's hat", ()),
        ("the cat’s hat", ()),
        ("aardvark", ("aardvark",)),
        ("a red cat", ("red",)),
        ("a zebra, a cat and a zebra", ("zebra",)),
        ("猫", ("猫",)),
        ("кошка и cat", ("кошка", "и")),
        ("हिन्दी", ("हिन्दी",)),
        ("🐱 cat", ("🐱",)),
        ("👩‍🚀", ("👩‍🚀",)),
        ("<b>cat</b>", ("b",)),
        ("<script>alert(1)</script>", ("script", "alert", "1")),
        ("", ()),
        ("  ...  ", ()),
        ("ﬁsh", ()),  # a ligature
    ],
)
def test_unknown_words(prompt, unknown):
    assert WORDS.unknown(prompt) == unknown


@pytest.mark.parametrize("noun", [*NOUNS, *BACKGROUNDS])
def test_every_name_is_known_and_leads_back_to_its_noun(noun):
    for name in names(noun):
        assert WORDS.unknown(f"a photo of a {name}") == ()
        assert WORDS.noun(name.upper()) == noun


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("kat", "cat"),
        ("snowmans", "snowman"),
        ("bicycl", "bicycle"),
        ("birds", "duck"),
        ("fruit", "apple"),
        ("xylophone", "saxophone"),
    ],
)
def test_suggestions_are_close(word, first):
    assert WORDS.suggest(word)[0] == first


@pytest.mark.parametrize("word", ["", "猫", "🐱", "qqqq", "x" * 10_000, "<b>", "aardvark"])
def test_something_useful_is_always_suggested(word):
    for n in (1, 3, 7):
        found = WORDS.suggest(word, n)
        assert len(found) == len(set(found)) == n
        assert set(found) <= {*NOUNS, *BACKGROUNDS}


def test_about_is_a_sentence_or_none():
    assert WORDS.about("a photo of a cat on the grass") == "the built-in model does not know 'on'; try: " + ", ".join(
        map(repr, WORDS.suggest("on"))
    )
    assert WORDS.about("a cat and a dog") is None
    assert WORDS.about("aardvark").startswith("the built-in model does not know 'aardvark'; try: '")
    assert "'zebra' or 'gnu'" in WORDS.about("a zebra and a gnu")
    assert "or 2 more" in WORDS.about("one two three four five six")
    assert len(WORDS.about("y" * 10_000)) < 120


def test_words_of_any_script():
    assert words_of("Größe, naïve—ΣΊΣΥΦΟΣ") == ("grösse", "naïve", "σίσυφοσ")


def test_each_known_word_is_one_token_and_unknown_ones_are_legal():
    tokens = tokenizer()
    assert [word for word in word_counts() if len(tokens.encode(word)) != 1] == []
    rows = tokens(["a photo of a cat", "猫 🐱 <b>", "xylophone " * 40])
    assert rows.shape == (3, 32)
    assert int(rows.max()) < tokens.vocab_size == 1301


def test_the_merges_are_learned_again_to_the_same_bytes(tmp_path):
    assert write_merges(tmp_path / "merges.txt.gz") == 787
    assert (tmp_path / "merges.txt.gz").read_bytes() == MERGES.read_bytes()
