"""Errors survive the ways in which they travel: pickle between processes, JSON between callers of one flight."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from cognition import errors
from cognition.errors import CacheUnavailable, CognitionError, RateLimited, RetryLater


def every_class(root: type[CognitionError] = CognitionError) -> Iterator[type[CognitionError]]:
    """Return all error classes."""
    yield root
    for child in root.__subclasses__():
        yield from every_class(child)


def an_error(kind: type[CognitionError]) -> CognitionError:
    """Return an error with data, and notes that tell more."""
    error = kind("Something happened; do something.", provider="openai", status=429, retry_after=1.5)
    error.add_note("This was attempt 3 of at most 3.")
    error.add_note("It was late.")
    return error


def through_pickle(error: CognitionError) -> CognitionError:
    """Return the error as another process of Prefect gets it."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301


def through_json(error: CognitionError) -> CognitionError:
    """Return the error as another process that waits for the same answer gets it."""
    return CognitionError.from_dict(json.loads(json.dumps(error.to_dict())))


@pytest.mark.parametrize("kind", list(every_class()), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("travel", [through_pickle, through_json])
def test_every_error_arrives_as_it_was(
    kind: type[CognitionError], travel: Callable[[CognitionError], CognitionError]
) -> None:
    """Class, sentence, data and notes are the same on the other side."""
    sent = an_error(kind)
    arrived = travel(sent)
    assert type(arrived) is kind
    assert str(arrived) == "Something happened; do something."
    assert (vars(arrived)["provider"], vars(arrived)["status"], vars(arrived)["retry_after"]) == ("openai", 429, 1.5)
    assert arrived.notes == ["This was attempt 3 of at most 3.", "It was late."]


def test_an_error_without_notes_arrives_without() -> None:
    """Nothing is added on the way."""
    error = CacheUnavailable.of("redis", "no connection")
    assert [] == through_pickle(error).notes
    assert [] == through_json(error).notes


def test_an_error_of_a_newer_release_is_still_an_error() -> None:
    """Processes of two releases may share a flight."""
    described = {**an_error(RateLimited).to_dict(), "type": "FromTheFuture"}
    arrived = CognitionError.from_dict(described)
    assert type(arrived) is CognitionError
    assert arrived.data["status"] == 429


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The first screen of the module is the documentation people read."""
    drawn = errors.__doc__ or ""
    for kind in every_class():
        assert kind.__name__ in drawn


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        ("CacheUnavailable", True),
        ("ProviderTimeout", True),
        ("ProviderUnavailable", True),
        ("RateLimited", True),
        ("OutputInvalid", True),
        ("QuotaExhausted", False),
        ("RequestRejected", False),
        ("OnlyCachedMiss", False),
        ("ConfigurationError", False),
        ("BudgetExceeded", False),
        ("BudgetUnavailable", True),
        ("PriceUnknown", False),
        ("LedgerConflict", False),
    ],
)
def test_what_may_pass_by_itself_is_retryable(kind: str, *, retryable: bool) -> None:
    """Only errors that another attempt can cure ask for one."""
    assert getattr(errors, kind).retryable is retryable


def test_a_failed_store_is_named() -> None:
    """The sentence says which store and what to do."""
    error = CacheUnavailable.of("redis", "no connection")
    assert error.store == "redis"
    assert str(error) == "The redis store did not answer (no connection); check its server and its URL."


def test_the_time_to_come_back_is_a_time_on_the_other_side_too() -> None:
    """It travels as text and is read as a time."""
    at = datetime(2026, 11, 22, 12, 0, 30, 250_000, tzinfo=UTC)
    sent = RetryLater.of("openai:gpt-5", at)
    for travel in (through_pickle, through_json):
        arrived = travel(sent)
        assert isinstance(arrived, RetryLater)
        assert at == arrived.at
