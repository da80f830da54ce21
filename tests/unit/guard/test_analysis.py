"""What the guard reads out of a text, and that it stays fast and never fails."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.domain.guard import analyse, compare
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.stem import root_of
from cognition.domain.guard.text import Kind, tokens_of

TEXTS = st.text() | st.lists(
    st.sampled_from(
        [
            "is",
            "not",
            "3",
            "kg",
            "a@b.co",
            "C++",
            "'x'",
            "U.S.",
            "don't",
            "/a/b",
            "==",
            "10k",
            "🙂",
            "Bonn",
            "why",
            ",",
            "?",
        ]
    )
).map(" ".join)


@given(TEXTS)
def test_a_text_never_differs_from_itself(text: str) -> None:
    """Every text can be analysed, and no rule refuses it against itself."""
    found = compare(analyse(text), analyse(text))
    assert ((), True) == (found.differences, found.restated)


@given(TEXTS, TEXTS)
def test_any_two_texts_can_be_compared(cached: str, asked: str) -> None:
    """No text makes a rule fail, and every reason is a sentence."""
    assert all(found.reason.strip() for found in compare(analyse(cached), analyse(asked)).differences)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What's new?", ["what", "is", "new"]),
        ("I can't, won't and don't", ["i", "can", "not", "will", "not", "and", "do", "not"]),
        ("the user\u2019s e-mail", ["the", "user", "email"]),
        ("A B.Tech in the U.S.", ["a", "btech", "in", "the", "usa"]),
        ("a 4-week trial of 10kg", ["a", "4", "week", "trial", "of", "10", "kg"]),
        ("end.Then start", ["end", "then", "start"]),
    ],
)
def test_spelling_is_evened_out(text: str, words: list[str]) -> None:
    """Contractions, possessives, abbreviations and hyphens read the same however they are written."""
    assert words == [token.word for token in tokens_of(text) if token.kind is not Kind.MARK]


@pytest.mark.parametrize(
    "literal",
    [
        "https://example.org/a?b=1",
        "someone@example.org",
        "/var/log/app.log",
        "snake_case",
        "call()",
        "--flag",
        "C++",
        "s7",
    ],
)
def test_code_and_addresses_stay_whole(literal: str) -> None:
    """What means itself is not cut into words."""
    assert literal in analyse(f"What is {literal} for?").literals


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("under Rs 15,000", ["15000 inr"]),
        ("for $20", ["20 usd"]),
        ("10k steps", ["10000"]),
        ("twenty five per cent of 3.5 km", ["25", "3.5 kilometre"]),
        ("version 3.10 in March", ["3.10 version", "march"]),
        ("the second of May 2024", ["2", "may", "2024"]),
        ("It may take a second", []),
        ("two hundred thousand", ["200000"]),
    ],
)
def test_amounts(text: str, amounts: list[str]) -> None:
    """Numbers are read with their units, however they are written."""
    assert amounts == [str(amount) for amount in analyse(text).amounts]


@pytest.mark.parametrize(
    "forms",
    [
        "run runs running ran",
        "study studies studied studying",
        "make makes making made",
        "stop stops stopped stopping",
        "quick quickly",
        "child children",
    ],
)
def test_forms_of_a_word_have_one_stem(forms: str) -> None:
    """Inflections are one word to every rule."""
    assert 1 == len({lexicon().stem(form) for form in forms.split()})


def test_a_family_has_one_root() -> None:
    """Derivations are relatives, not the same word."""
    stems = [lexicon().stem(word) for word in ("program", "programmer", "programming")]
    assert 1 == len({root_of(stem) for stem in stems})
    assert lexicon().stem("program") != lexicon().stem("programmer")


def test_rare_words_say_more() -> None:
    """What a word says grows with its rarity, from 0 to 1."""
    rarities = [lexicon().rarity(word) for word in ("the", "house", "password", "kubernetes")]
    assert sorted(rarities) == rarities
    assert (0.0, 1.0) == (rarities[0], rarities[-1])


def test_work_grows_no_faster_than_the_text() -> None:
    """A text ten times as long takes at most some thirty times as long, whatever it repeats."""
    seconds: list[float] = []
    for size in (300, 3000):
        cached, asked = (" ".join(f"word{place % 97} alpha {end}" for place in range(size)) for end in ("one", "two"))
        rounds: list[float] = []
        for _ in range(3):
            started = time.thread_time()
            compare(analyse(cached), analyse(asked))
            rounds.append(time.thread_time() - started)
        seconds.append(min(rounds))
    assert seconds[1] <= 30 * seconds[0]
