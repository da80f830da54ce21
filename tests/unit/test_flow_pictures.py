"""Pictures in artifacts: SVG in the Markdown itself, described in words, safe with any name."""

from __future__ import annotations

import base64
import re
from decimal import Decimal
from xml.etree import ElementTree as ET

from cognition_flows.pictures import bars, columns


def drawn(markdown: str) -> tuple[str, list[ET.Element]]:
    """Return what a picture is called and what it is made of; it must be one image in one line."""
    match = re.fullmatch(r"(.+)\n\n!\[([^\[\]\n]+)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert match is not None
    return f"{match[1]}: {match[2]}", list(ET.fromstring(base64.b64decode(match[3])))  # noqa: S314  our own


def test_bars_are_as_long_as_their_values() -> None:
    """The longest fills the place, and a half is half as long."""
    told, elements = drawn(bars("Costs", [("a", Decimal(4), "$4"), ("b", Decimal(2), "$2"), ("c", 0.0, "$0")]))
    widths = [float(element.attrib["width"]) for element in elements if element.tag.endswith("rect")]
    assert ("Costs: a $4, b $2, c $0", [280.0, 140.0, 1.0]) == (told, widths)


def test_shares_are_parts_of_a_whole() -> None:
    """Half a share is half of the place, however small the others are."""
    _, elements = drawn(bars("Rates", [("a", 0.5, "50%"), ("b", 0.1, "10%")], whole=1))
    assert [140.0, 28.0] == [float(element.attrib["width"]) for element in elements if element.tag.endswith("rect")]


def test_columns_stand_in_the_order_of_time() -> None:
    """The last one has a colour of its own."""
    told, elements = drawn(columns("Days", [1.0, 2.0, 4.0], "$4"))
    assert [15.0, 30.0, 60.0] == [float(element.attrib["height"]) for element in elements]
    assert "Days: the last: $4" == told
    assert 2 == len({element.attrib["fill"] for element in elements})


def test_any_name_is_a_name() -> None:
    """Markup, brackets, line breaks and long names neither break out nor break the picture."""
    told, elements = drawn(bars("x", [('<b>"&]( \n', 1, "1"), ("n" * 99, 1, "1")]))
    assert '<b>"&)( 1' in told
    assert "n" * 23 + "…" in [element.text for element in elements]


def test_nothing_to_draw() -> None:
    """No picture."""
    assert ["", ""] == [bars("x", []), columns("x", [], "")]
    assert 3 == len(drawn(bars("x", [("a", 0, "0")]))[1])
