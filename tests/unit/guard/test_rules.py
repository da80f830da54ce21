"""Each rule refuses what differs and lets pass what says the same, on minimal pairs of our own."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cognition.domain.guard import analyse, compare
from cognition.domain.guard.comparison import ENGLISH, EVERY_LANGUAGE

PAIRS: dict[str, dict[str, list[list[str]]]] = tomllib.loads(
    (Path(__file__).parent / "minimal_pairs.toml").read_text(encoding="utf-8")
)


def pairs(kind: str) -> list[tuple[str, str, str]]:
    """Return rule, cached and asked text of each pair of one kind."""
    return [(rule, cached, asked) for rule, found in PAIRS.items() for cached, asked in found[kind]]


def differences(cached: str, asked: str) -> dict[str, str]:
    """Return the rules that refuse a pair, with their reasons."""
    return dict(compare(analyse(cached), analyse(asked)).differences)


def test_every_rule_has_pairs() -> None:
    """No rule goes untested."""
    assert {name for name, _ in EVERY_LANGUAGE + ENGLISH} == PAIRS.keys()


@pytest.mark.parametrize(("rule", "cached", "asked"), pairs("differ"))
def test_a_difference_is_refused_by_its_rule(rule: str, cached: str, asked: str) -> None:
    """The rule finds it whichever text came first, and says why."""
    assert rule in differences(cached, asked)
    assert rule in differences(asked, cached)
    assert len(differences(cached, asked)[rule]) > len("differs")


@pytest.mark.parametrize(("rule", "cached", "asked"), pairs("same"))
def test_a_paraphrase_passes_every_rule(rule: str, cached: str, asked: str) -> None:
    """Nothing is found whichever text came first."""
    assert {} == differences(cached, asked), rule
    assert {} == differences(asked, cached), rule
