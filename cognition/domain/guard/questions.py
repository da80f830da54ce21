# ruff: noqa
"""What a question asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cognition.domain.guard.lexicon import Lexicon
from cognition.domain.guard.stem import stem_with
from cognition.domain.guard.text import Kind, Token

ASKING = frozenset(["what", "which", "who", "whom", "whose", "when", "where", "why", "how"])
_BE = frozenset(["is", "are", "was", "were", "be", "am", "been", "being"])
_MODALS = {
    "can": "can", "could": "can", "may": "can", "might": "can", "should": "should", "must": "should", "ought": "should",
    "shall": "should", "will": "will", "would": "will", "do": "do", "does": "do", "did": "did", "is": "is", "are": "is",
    "am": "is", "was": "was", "were": "was", "has": "have", "have": "have", "had": "had",
}  # fmt: skip
_WAYS = frozenset(["way", "method", "procedur", "step", "approach", "techniqu", "process", "trick", "tip", "strategi"])
_REASONS = frozenset(["reason", "caus"])
_TIMES = frozenset(["time", "date", "year", "day"])
_MONEY = frozenset(["price", "cost", "fee", "salari", "amount", "number"])
_STARTS = frozenset(
    [
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "to",
        "with",
        "of",
        "and",
        "but",
        "so",
        "the",
        "exactly",
        "please",
        "tell",
        "me",
        "know",
        "say",
        "explain",
        "about",
        "if",
    ]
)


class Question(NamedTuple):
    """What is asked for.

    Attributes:
        kinds: One word for each sentence that asks (`why`, `manner`, `yes-no`, ...), in order and without repetition.
        focus: Stem of the noun that is asked for, or an empty string (`salary` in `What is the salary of ...?`).
        modal: The class of the auxiliary that leads the question, or an empty string.
        clauses: How many sentences the text has.
    """

    kinds: tuple[str, ...]
    focus: str
    modal: str
    clauses: int

    @property
    def kind(self) -> str:
        """The first thing asked for, or an empty string."""
        return self.kinds[0] if self.kinds else ""


def question_of(tokens: Sequence[Token], words: Lexicon) -> Question:
    """Find what a text asks for."""
    kinds: dict[str, None] = {}
    focus = modal = ""
    sentences = _sentences(tokens)
    for sentence in sentences:
        kind, head, auxiliary = _ask(sentence, words)
        if kind:
            kinds[kind] = None
            focus = focus or head
            modal = modal or auxiliary
    return Question(tuple(kinds), focus, modal, len(sentences))


def _sentences(tokens: Sequence[Token]) -> list[list[Token]]:
    found: list[list[Token]] = []
    for token in tokens:
        if token.kind is Kind.MARK:
            continue
        if token.opens or not found:
            found.append([])
        found[-1].append(token)
    return found


def _ask(sentence: list[Token], words: Lexicon) -> tuple[str, str, str]:
    spoken = [token.word for token in sentence if token.word not in words.soft]
    for place, word in enumerate(spoken[:40]):
        if word in ASKING and (place < 1 or spoken[place - 1] in _STARTS or place < 3):
            return _wh(spoken, place, words)
        if place == 0 and word in _MODALS:
            return "yes-no", "", _MODALS[word]
    for place, word in enumerate(spoken[:40]):
        if word in ASKING and word != "which" and place + 1 < len(spoken) and spoken[place + 1] in _MODALS:
            return _wh(spoken, place, words)
    return "", "", ""


def _wh(spoken: list[str], place: int, words: Lexicon) -> tuple[str, str, str]:
    word = spoken[place]
    rest = spoken[place + 1 :]
    first = rest[0] if rest else ""
    modal = next((_MODALS[each] for each in rest[:4] if each in _MODALS), "")
    if word == "how":
        return _how(first, modal)
    if word in {"what", "which"}:
        return _what(rest, modal, words)
    return {"whom": "who", "whose": "who"}.get(word, word), "", modal


def _how(first: str, modal: str) -> tuple[str, str, str]:
    if first in {"many", "much"}:
        return "amount", "", modal
    if first in {"long", "often", "old", "far"}:
        return first, "", modal
    if first == "come":
        return "why", "", modal
    if first in _MODALS or first in {"to", "i", "you", "we", "one"}:
        return "manner", "", modal
    return "degree", "", modal


def _what(rest: list[str], modal: str, words: Lexicon) -> tuple[str, str, str]:
    head = _head(rest, words)
    if head in _WAYS:
        return "manner", "", modal
    if head in _REASONS:
        return "why", "", modal
    if head in _TIMES:
        return "when", "", modal
    if head in _MONEY:
        return "amount", head, modal
    if rest[:1] and rest[0] in {"can", "could", "should", "must", "do"} and "do" in rest[1:6]:
        return "manner", "", modal
    if any(word.startswith("happen") for word in rest[:3]):
        return "what-if", "", modal
    if "like" in rest[:6] and ("it" in rest[:3] or "feel" in rest[:6]):
        return "experience", "", modal
    if "mean" in rest[:8]:
        return "what", "mean", modal
    return "what", head, modal


def _head(rest: list[str], words: Lexicon) -> str:
    """Return the stem of the noun that follows: the last word of the first run of content words."""
    head = ""
    for word in rest[:10]:
        if word in words.function and word not in {"one", "other"}:
            if head:
                break
            continue
        head = stem_with(word, words.stems)
    return head
