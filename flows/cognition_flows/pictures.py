"""Small pictures in Markdown: SVG inside the text itself, which Prefect's UI shows, for it lets `data:` images pass.

Whoever cannot see them reads the same in their descriptions. Colours stand out on white and on black.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from decimal import Decimal
from html import escape

_NOW, _BEFORE, _TEXT = "#6366f1", "#c7c9d9", "#8b90a0"
_WIDTH, _ROW, _NAME, _FIGURE = 560, 22, 170, 110
_COLUMN, _HEIGHT, _GAP = 14, 60, 4
_LETTERS = 24


def bars(title: str, lines: Sequence[tuple[str, Decimal | float, str]], *, whole: float | None = None) -> str:
    """Return a picture with a bar for each line, under its title.

    Args:
        title: What it shows.
        lines: A name, how long its bar is, and the figure as text.
        whole: What is as wide as there is place, such as 1 for shares; by default the longest.
    """
    if not lines:
        return ""
    longest = whole or max(float(length) for _, length, _ in lines) or 1.0
    drawn: list[str] = []
    for row, (name, length, figure) in enumerate(lines):
        place, width = row * _ROW, max(1.0, float(length) / longest * (_WIDTH - _NAME - _FIGURE))
        drawn += [
            f'<text x="0" y="{place + 15}">{escape(_short(name))}</text>',
            f'<rect x="{_NAME}" y="{place + 4}" width="{width:.1f}" height="14" rx="2" fill="{_NOW}"/>',
            f'<text x="{_NAME + width + 6:.1f}" y="{place + 15}">{escape(figure)}</text>',
        ]
    told = ", ".join(f"{_short(name)} {figure}" for name, _, figure in lines)
    return f"{title}\n\n{_image(told, ''.join(drawn), _WIDTH, len(lines) * _ROW)}"


def columns(title: str, values: Sequence[Decimal | float], last: str) -> str:
    """Return a picture with a column for each value in time, under its title, the last one in another colour.

    Args:
        title: What it shows.
        values: The oldest first; none may be negative.
        last: The last value as text.
    """
    if not values:
        return ""
    highest = max(float(value) for value in values) or 1.0
    drawn: list[str] = []
    for number, value in enumerate(values):
        height = max(1.0, float(value) / highest * _HEIGHT)
        colour = _NOW if number == len(values) - 1 else _BEFORE
        drawn.append(
            f'<rect x="{number * (_COLUMN + _GAP)}" y="{_HEIGHT - height:.1f}" width="{_COLUMN}"'
            f' height="{height:.1f}" rx="2" fill="{colour}"/>'
        )
    picture = _image(f"the last: {last}", "".join(drawn), len(values) * (_COLUMN + _GAP), _HEIGHT)
    return f"{title}\n\n{picture}"


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def _image(alternative: str, drawn: str, width: int, height: int) -> str:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' font-family="sans-serif" font-size="12" fill="{_TEXT}">{drawn}</svg>'
    )
    # Brackets would end the description, and a line break the paragraph.
    told = " ".join(alternative.translate(str.maketrans("[]", "()")).split())
    return f"![{told}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"
