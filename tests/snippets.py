"""What the documents tell people to type: fenced blocks, and commands between backticks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

# CHANGELOG tells what was true when it was written.
DOCUMENTS = sorted(
    {ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("deployments/**/*.md"), *ROOT.glob("docs/**/*.md")}
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"`(cognition [^`]+)`")


@dataclass(frozen=True)
class Snippet:
    """A fenced block, or one command in a sentence.

    Attributes:
        place: File and line.
        language: As the fence names it; empty for a command in a sentence.
        text: What stands in it.
    """

    place: str
    language: str
    text: str


def blocks() -> list[Snippet]:
    """Return all fenced blocks."""
    return [
        Snippet(_place(path, text, found.start()), found[1], found[2])
        for path in DOCUMENTS
        for text in [path.read_text(encoding="utf-8")]
        for found in _FENCE.finditer(text)
    ]


def commands() -> list[Snippet]:
    """Return all commands of ours that stand in sentences and tables."""
    return [
        Snippet(_place(path, text, found.start()), "", found[1].replace("\\|", "|"))
        for path in DOCUMENTS
        for text in [path.read_text(encoding="utf-8")]
        for found in _COMMAND.finditer(text)
    ]


def _place(path: Path, text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"{path.relative_to(ROOT).as_posix()}:{line}"
