"""What a question asks for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from cognition.domain.guard.lexicon import Lexicon
from cognition.domain.guard.text import Kind, Token

ASKING = frozenset(["what", "which", "who", "whom", "whose", "when", "where", "why", "how"])
_PLAIN = {"who": "who", "whom": "who", "whose": "who", "when": "when", "where": "where", "why": "why"}
_BE = frozenset(["is", "are", "was", "were", "be", "am", "been", "being"])
_MODALS = {
    "can": "can", "could": "can", "may": "can", "might": "can", "should": "should", "must": "should", "ought": "should",
    "shall": "should", "will": "will", "would": "will", "do": "do", "does": "do", "did": "did", "is": "is", "are": "is",
    "am": "is", "was": "was", "were": "was", "has": "have", "have": "have", "had": "had",
}  # fmt: skip
_DOABLE = frozenset(["can", "could", "should", "must", "do"])
_SPEAKERS = frozenset(["i", "we", "you", "one"])
_MEASURES = frozenset(["long", "often", "old", "far"])
_NOUNS = {
    **dict.fromkeys(["way", "method", "procedur", "step", "approach", "techniqu", "process", "trick", "tip"], "manner"),
    **dict.fromkeys(["strategi"], "manner"),
    **dict.fromkeys(["reason", "caus"], "why"),
    **dict.fromkeys(["time", "date", "year", "day"], "when"),
    **dict.fromkeys(["price", "cost", "fee", "salari", "amount", "number"], "amount"),
    **dict.fromkeys(["mean", "definition"], "meaning"),
}
"""Stems of nouns after `what` that make it another question."""
_LEAD_IN = frozenset(
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
_TELL = frozenset(["tell", "give", "explain", "describe", "list", "suggest", "recommend", "show", "offer"])
_PARTICIPLE = ("ed", "en", "ing")
_LEADS = 3
"""A question word among the first words of a sentence leads it."""
_LONGEST_HEAD = 10
"""Words after `what` that are looked at."""


class Question(NamedTuple):
    """What is asked for.

    Attributes:
        kinds: One word for each thing asked for (`why`, `manner`, `yes-no`, ...), in order and without repetition.
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
    sentences = _sentences(tokens, words)
    for sentence in sentences:
        asked, head, auxiliary = _ask(sentence, words)
        kinds.update(dict.fromkeys(asked))
        if asked:
            focus, modal = focus or head, modal or auxiliary
    return Question(tuple(kinds), focus, modal, len(sentences))


def _sentences(tokens: Sequence[Token], words: Lexicon) -> list[list[str]]:
    found: list[list[str]] = []
    for token in tokens:
        if token.kind is Kind.MARK:
            continue
        if token.opens or not found:
            found.append([])
        if token.word not in words.soft:
            found[-1].append(token.word)
    return found


_Asked = tuple[list[str], str, str]
"""Kinds, focus and modal of one sentence."""


def _ask(spoken: list[str], words: Lexicon) -> _Asked:
    for place, word in enumerate(spoken):
        if word in ASKING and (place < _LEADS or spoken[place - 1] in _LEAD_IN):
            return _wh(word, spoken[place + 1 :], words)
        if place == 0 and word in _MODALS:
            return _request(spoken, words) or ["yes-no"], "", _MODALS[word]
    for place, (word, following) in enumerate(pairwise(spoken)):
        if word in ASKING and word != "which" and following in _MODALS:
            return _wh(word, spoken[place + 1 :], words)
    return [], "", ""


def _request(spoken: list[str], words: Lexicon) -> list[str]:
    """Return what a polite request really asks for (`Can you tell me how to ...?`, `Is there a way to ...?`)."""
    if spoken[1:2] == ["there"]:
        return ["manner"] if any(_NOUNS.get(words.stem(word)) == "manner" for word in spoken[2:6]) else []
    if spoken[1:2] not in (["you"], ["someone"], ["anyone"]):
        return []
    place = next((place for place, word in enumerate(spoken) if word in ASKING), 0)
    if place and _TELL & set(spoken[2:place]):
        return _wh(spoken[place], spoken[place + 1 :], words)[0]
    return ["what"] if _TELL & set(spoken[2:4]) else []


def _wh(word: str, rest: list[str], words: Lexicon) -> _Asked:
    modal = next((_MODALS[each] for each in rest[:4] if each in _MODALS), "")
    if word == "how":
        kind, focus = _how(rest, words)
        return [kind], focus, modal
    if word in {"what", "which"}:
        kind, focus = _what(rest, words)
        return [kind], focus, modal
    if word == "where" and modal in _DOABLE and _SPEAKERS & set(rest[:4]):
        return ["where", "manner"], "", modal  # `Where can I find ...?` asks how to find it
    more = [_PLAIN[each] for before, each in pairwise(rest) if each in _PLAIN and before in {"and", "or"}]
    return [_PLAIN[word], *more], "", modal


def _how(rest: list[str], words: Lexicon) -> tuple[str, str]:
    first = rest[0] if rest else ""
    if first in {"many", "much"}:
        counted = rest[1] if len(rest) > 1 and rest[1] not in words.function else ""
        return "amount", words.stem(counted)
    if first in _MEASURES:
        return first, ""
    if first == "come":
        return "why", ""
    if (
        first in _BE
        and "different" not in rest
        and not any(word.endswith(_PARTICIPLE) or word in words.irregular for word in rest[2:])
    ):
        return "quality", ""
    return ("manner" if first in _MODALS or first in _SPEAKERS or first == "to" else "degree"), ""


def _what(rest: list[str], words: Lexicon) -> tuple[str, str]:
    head = _head(rest, words)
    if kind := _NOUNS.get(head):
        return kind, head if kind == "amount" else ""
    if rest and rest[0] in _DOABLE and "do" in rest[1:6]:
        return "manner", ""
    if any(word.startswith("happen") for word in rest[:3]):
        return "what-if", ""
    if rest[-1:] == ["like"] or ("like" in rest[:6] and ("it" in rest[:3] or "feel" in rest[:6])):
        return "quality", ""
    return ("meaning", "") if {"mean", "meant"} & set(rest[:8]) else ("what", head)


def _head(rest: list[str], words: Lexicon) -> str:
    """Return the stem of the noun that follows: the last word of the first run of content words."""
    head = ""
    for word in rest[:_LONGEST_HEAD]:
        if word not in words.function:
            head = word
        elif head:
            break
    return words.stem(head)
