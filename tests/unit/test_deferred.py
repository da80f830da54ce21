"""Values that are worked out when somebody looks at them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from copy import copy
from dataclasses import FrozenInstanceError, dataclass, replace
from unittest.mock import Mock

import pytest

from cognition.domain.deferred import Deferred


@dataclass(frozen=True, slots=True)
class Pair(Deferred):
    """A value of two fields."""

    first: int
    second: int = 0


def test_known_fields_need_no_work() -> None:
    """The rest is worked out once, by the first look."""
    later = Mock(return_value={"second": 2})
    pair = Pair.deferred(later, first=1)
    assert (1, 0) == (pair.first, later.call_count)
    assert (2, 2, 1) == (pair.second, pair.second, later.call_count)


def test_each_field_may_come_by_itself() -> None:
    """What is not read is not worked out."""
    asked: list[str] = []

    def later(field: str) -> dict[str, int]:
        asked.append(field)
        return {field: len(asked)}

    pair = Pair.deferred(later)
    assert (1, 2, 1) == (pair.second, pair.first, pair.second)
    assert ["second", "first"] == asked


def _itself(pair: Pair) -> Pair:
    return pair


def _copied(pair: Pair) -> Pair:
    return copy(pair)


def _replaced(pair: Pair) -> Pair:
    return replace(pair)


def _rebuilt(pair: Pair) -> Pair:
    return pickle.loads(pickle.dumps(pair))  # noqa: S301  our own


@pytest.mark.parametrize("use", [_itself, _copied, _replaced, _rebuilt])
def test_nobody_can_tell_the_difference(use: Callable[[Pair], Pair]) -> None:
    """Whatever is done with it, it is what it would be had it been made at once."""
    pair = use(Pair.deferred(lambda _: {"second": 2}, first=1))
    assert (Pair(1, 2), hash(Pair(1, 2)), repr(Pair(1, 2))) == (pair, hash(pair), repr(pair))


def test_it_stays_frozen() -> None:
    """Nobody but itself sets a field."""
    pair = Pair.deferred(lambda _: {"second": 2}, first=1)
    with pytest.raises(FrozenInstanceError):
        pair.second = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("pair", [Pair(1, 2), Pair.deferred(lambda _: {"second": 2}, first=1)])
def test_what_is_no_field_is_an_error(pair: Pair) -> None:
    """Nothing is worked out for a misspelt name."""
    with pytest.raises(AttributeError, match="'Pair' object has no attribute 'third'"):
        _ = pair.third  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
