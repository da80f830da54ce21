"""How long a provider asks to be left alone, however it says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.adapters.providers.retry_after import retry_after

NOW = datetime(2023, 9, 29, 16, 26, 37, tzinfo=UTC)
VECTORS = Path(__file__).parents[3] / "shared" / "data" / "retry-vectors" / "vectors.json"
REQUESTS, TOKENS = "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"
ANTHROPIC = "anthropic-ratelimit-tokens-reset"


def asked(throttled: bool = True, **headers: str) -> float | None:  # noqa: FBT001, FBT002  headers are the keywords
    """Return what is made of headers, whose names are written with underscores."""
    return retry_after({name.replace("_", "-"): value for name, value in headers.items()}, NOW, throttled=throttled)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("20", 20.0),
        ("0.5", 0.5),
        (" 7 ", 7.0),
        ("61", 61.0),
        ("86400", 86400.0),
        ("Fri, 29 Sep 2023 16:26:57 GMT", 20.0),
        ("Friday, 29-Sep-23 16:26:57 GMT", 20.0),
        ("Fri Sep 29 16:26:57 2023", 20.0),
        ("2023-09-29T16:26:57Z", 20.0),
        ("Fri, 29 Sep 2023 16:26:37 GMT", None),
        ("Fri, 29 Sep 2023 16:26:27 GMT", None),
        ("0", None),
        ("-10", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("99999999999999999999999999999999999", None),
        ("Fri, 99 Sep 2023 16:26:27 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    """Seconds, fractions of them, and the three date formats of HTTP; what is no wait says nothing."""
    assert seconds == asked(retry_after=value)


def test_milliseconds_are_the_most_exact() -> None:
    """They win over seconds, unless they are unusable."""
    assert 1.5 == asked(retry_after_ms="1500", retry_after="2")
    assert 2.0 == asked(retry_after_ms="0", retry_after="2")
    assert 2.0 == asked(retry_after_ms="soon", retry_after="2")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1m3.2s", 63.2), ("20ms", 0.02), ("1s", 1.0), ("6m0s", 360.0), ("1h2m", 3720.0), ("1d", 86400.0), ("12", 12.0)],
)
def test_openai_says_when_its_limits_start_anew(value: str, seconds: float) -> None:
    """In Go's way of writing durations."""
    assert asked(x_ratelimit_reset_requests=value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "1x", "s", "1m3", "-1s", "0s", "later"])
def test_a_reset_that_cannot_be_read_says_nothing(value: str) -> None:
    """Then the back-off decides."""
    assert asked(x_ratelimit_reset_requests=value) is None


def test_anthropic_says_when_its_limits_start_anew() -> None:
    """In RFC 3339."""
    for moment in ("2023-09-29T16:28:00Z", "2023-09-29T18:28:00+02:00"):
        assert 83.0 == retry_after({ANTHROPIC: moment}, NOW, throttled=True)


def test_the_limit_that_is_used_up_decides() -> None:
    """The longest of those that are, else the shortest of all: a wait is a minimum."""
    both = {REQUESTS: "1s", TOKENS: "6m0s"}
    empty = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "150"}
    assert 1.0 == retry_after(both | empty, NOW, throttled=True)
    assert 360.0 == retry_after(both | empty | {"x-ratelimit-remaining-tokens": "0"}, NOW, throttled=True)
    assert 1.0 == retry_after(both, NOW, throttled=True)


def test_limits_say_nothing_about_a_failure() -> None:
    """They stand in every answer, also in one of a server that broke down."""
    assert asked(throttled=False, x_ratelimit_reset_requests="6m0s") is None
    assert 5.0 == asked(throttled=False, x_ratelimit_reset_requests="6m0s", retry_after="5")


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", REQUESTS, TOKENS, ANTHROPIC]), st.text()))
def test_no_header_breaks_it(headers: dict[str, str]) -> None:
    """Whatever a server sends."""
    seconds = retry_after(headers, NOW, throttled=True)
    assert seconds is None or 0 < seconds <= 2**32 / 1000


def test_the_cases_of_the_openai_sdk() -> None:
    """Where the data is at hand; a longer delay than its 60 s is honoured here, which its later rule says as well."""
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is absent")
    vectors: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))["openai_sdk_retry_after"]
    longer = {"61": 61.0, "Fri, 29 Sep 2023 16:27:38 GMT": 61.0}
    cases = vectors["legacy_rule_cap_60s"]
    assert len(cases) > 10
    for case in cases:
        expected = longer.get(case["retry_after"], None if case.get("fallback") else case["wait"])
        assert expected == asked(retry_after=case["retry_after"]), case
