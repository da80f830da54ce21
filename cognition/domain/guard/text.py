"""Text to tokens: what every rule reads.

English spelling is evened out here: contractions, possessives, dots in abbreviations, hyphens. Nothing of a text is
dropped; the work grows linearly with its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from cognition.domain.guard.lexicon import Lexicon, lexicon


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    NUMBER = "number"
    LITERAL = "literal"
    """Code, a URL, an address, a path, the name of a model: means itself only, letter by letter."""
    MARK = "mark"


class Token(NamedTuple):
    """One word, number, literal or punctuation mark.

    Attributes:
        word: Lower case, evened out; a literal keeps its case.
        surface: As written.
        kind: What it is.
        opens: Whether it begins a sentence.
    """

    word: str
    surface: str
    kind: Kind
    opens: bool


_TOKEN = re.compile(
    r"""
    (?P<literal>
        (?:https?|ftp|file|s3|redis|postgresql)://[^\s<>"']*[^\s<>"'.,;:!?)]     # a URL
      | [\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+                                        # an e-mail address
      | (?<!\w)(?:~|\.{1,2})?(?:/[\w@-][\w.@-]*){2,}                             # a file path
      | (?<!\w)[A-Za-z]:\\[\w.\\-]+
      | (?<!\S)--?[A-Za-z][\w-]*                                                 # a flag
      | [A-Za-z]\w*(?:_\w+)+(?:\(\))? | [A-Za-z]\w*\(\) | \$[A-Za-z]\w*          # snake_case, call(), $VARIABLE
      | [\u2190-\u2bff\U0001f000-\U0001faff]                                     # an arrow, an emoji
      | [A-Za-z]\+\+ | (?<!\w)[CFJ]\#(?!\w) | (?<!\w)\.(?:NET|net)\b             # C++, C#, .NET
    )
  | (?P<number>\d[\d,.]*(?:st|nd|rd|th)?(?![\w-]*[A-Za-z]|-\d))
  | (?P<word>[^\W_]+(?:['.-][^\W_]+)*)
  | (?P<unit>[$€£₹](?=\s?\d)|(?<=\d)\s?(?:%|°[CF]?))
  | (?P<mark>[^\s\w])
    """,
    re.VERBOSE,
)
_FOLDED = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})
_ENDS = frozenset(".?!:")
_AMOUNT = re.compile(r"(\d[\d.,]*)([^\W\d_]+)")
_PRICE = re.compile(r"([^\W\d_]+)\.?(\d[\d.,]*)")
_DIGIT = re.compile(r"\d")


def tokens_of(text: str) -> list[Token]:
    """Split a text into tokens."""
    words = lexicon()
    found: list[Token] = []
    opens = True
    for match in _TOKEN.finditer(text.translate(_FOLDED)):
        surface, group = match.group(), match.lastgroup
        if group == "mark":
            found.append(Token(surface, surface, Kind.MARK, opens=False))
            opens = opens or surface in _ENDS
            continue
        if group == "literal":
            found.append(Token(surface, surface, Kind.LITERAL, opens))
        elif group == "unit":
            found.append(Token(surface.strip().lower(), surface, Kind.WORD, opens))
        elif group == "number":
            found.append(Token(surface.rstrip(",.").replace(",", ""), surface, Kind.NUMBER, opens))
        else:
            found.extend(_parts(surface, words, opens=opens))
        opens = False
    return found


def _parts(surface: str, words: Lexicon, *, opens: bool) -> Iterator[Token]:
    """Split what is written as one word and is several: contractions, possessives, hyphenated words, `5kg`."""
    lower = surface.lower()
    if expansion := words.contractions.get(lower):
        for word in expansion:
            yield Token(word, surface, Kind.WORD, opens)
    elif lower.isalpha():
        yield Token(lower, surface, Kind.WORD, opens)
    elif _DIGIT.search(lower):
        yield from _mixed(surface, lower, words, opens=opens)
    else:
        pieces = surface.split("-")
        if len(pieces) > 1 and len(pieces[0]) == 1:  # e-mail, x-ray, t-shirt
            pieces[:2] = [pieces[0] + pieces[1]]
        for piece in pieces:
            yield from _apostrophe(piece, words, opens=opens)


def _apostrophe(surface: str, words: Lexicon, *, opens: bool) -> Iterator[Token]:
    """Split at an apostrophe, and at a full stop without a space after it, but not `B.Tech` and `U.S.`."""
    word, _, ending = surface.lower().partition("'")
    head = surface[: len(word)]
    if "." in word and "." not in word[1:2]:
        for piece in head.split("."):
            yield Token(piece.lower(), piece, Kind.WORD, opens)
        return
    if ending == "t" and word.endswith("n"):
        yield Token(word[:-1], head, Kind.WORD, opens)
        yield Token("not", surface, Kind.WORD, opens=False)
        return
    yield Token("usa" if word == "u.s" else word.replace(".", ""), head, Kind.WORD, opens)
    if (ending != "s" or word in words.takes_is) and (rest := words.endings.get(ending)):
        yield Token(rest, surface, Kind.WORD, opens=False)


def _mixed(surface: str, lower: str, words: Lexicon, *, opens: bool) -> Iterator[Token]:
    """Read letters and digits together: amounts with their units (`5kg`, `4-week`), or else a name (`s7`)."""
    pieces = [piece for piece in lower.split("-") if piece]
    read: list[Token] = []
    for piece in pieces:
        if piece.isalpha() and len(pieces) > 1 and piece in words.rank:
            read.append(Token(piece, piece, Kind.WORD, opens))
        elif piece.replace(",", "").replace(".", "").isdecimal():
            read.append(Token(piece.replace(",", ""), piece, Kind.NUMBER, opens))
        elif (match := _AMOUNT.fullmatch(piece)) and match.group(2) in words.units:
            read.append(Token(match.group(1).replace(",", ""), match.group(1), Kind.NUMBER, opens))
            read.append(Token(match.group(2), match.group(2), Kind.WORD, opens=False))
        elif (match := _PRICE.fullmatch(piece)) and match.group(1) in words.units:
            read.append(Token(match.group(1), match.group(1), Kind.WORD, opens))
            read.append(Token(match.group(2).replace(",", ""), match.group(2), Kind.NUMBER, opens=False))
        else:
            read = [Token(lower.removesuffix("'s"), surface, Kind.LITERAL, opens)]
            break
    yield from read
