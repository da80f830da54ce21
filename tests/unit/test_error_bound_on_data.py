"""Whether the bar that one half of real judgements supports keeps its promise on the other half.

The data is not ours to ship: without `../shared/data` these tests are skipped.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cognition.domain.error_bound import Bar, Limit, bar_of, error_bound
from cognition.domain.guard import analyse
from cognition.domain.semantic import Label
from cognition.domain.similarity import DEFAULT_THRESHOLD, Candidate, Limits, judge

PAIRS = Path(__file__).parents[3] / "shared" / "data" / "adjudicated_pairs.jsonl"
CONFIDENCE = 0.95
MAX_ERRORS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
DEFAULTS = (DEFAULT_THRESHOLD, 0.7, 0.5)


@pytest.fixture(scope="module")
def halves() -> tuple[list[Label], list[Label]]:
    """Return the earlier and the later half of the judgements that the guard leaves to the score, oldest first."""
    if not PAIRS.exists():
        pytest.skip(f"{PAIRS} is not here; the judged pairs may not be part of the repository")
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    labels = [label for minute, row in enumerate(rows) if (label := _label(row, minute))]
    return labels[: len(labels) // 2], labels[len(labels) // 2 :]


def _label(row: dict[str, Any], minute: int) -> Label | None:
    """Return a judgement as the engine would have learned it, or None where it would have learned nothing."""
    verdict = judge(analyse(row["asked"]), Candidate(row["cached"], row["cosine"]), Limits(threshold=0.0))
    if row["answers"] is None or verdict.refusal is not None:
        return None
    at = datetime(2026, 11, 25, tzinfo=UTC) + timedelta(minutes=minute)
    return Label(verdict.score, row["answers"], "judge", at)


def _chosen(known: list[Label], max_error: float, default: float) -> Bar:
    limit = Limit(default=default, lowest=0.3, max_error=max_error, confidence=CONFIDENCE)
    return bar_of(known[::-1], limit)


def _least_error(later: list[Label], bar: Bar) -> float:
    """Return what the share of wrong hits is above, with confidence: the lower bound of Clopper and Pearson."""
    hits = [label for label in later if label.score >= bar.threshold]
    # The right ones are at most so many as the upper bound of their share says.
    return 1 - error_bound(sum(label.right for label in hits), len(hits), CONFIDENCE) if hits else 0.0


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize("max_error", MAX_ERRORS)
def test_what_was_learned_holds_later(
    halves: tuple[list[Label], list[Label]], max_error: float, default: float
) -> None:
    """The later half does not contradict the limit, whatever the bar stands on."""
    earlier, later = halves
    assert _least_error(later, _chosen(earlier, max_error, default)) <= max_error


@pytest.mark.parametrize("max_error", MAX_ERRORS)
def test_what_is_called_proven_holds_in_both_directions(
    halves: tuple[list[Label], list[Label]], max_error: float
) -> None:
    """Also when the halves change places, which no order of time protects."""
    for known, other in (halves, halves[::-1]):
        bar = _chosen(known, max_error, DEFAULT_THRESHOLD)
        assert bar.basis != "proven" or _least_error(other, bar) <= max_error


def test_the_data_can_tell(halves: tuple[list[Label], list[Label]]) -> None:
    """Some limits are proven, so the tests above are not about nothing; and some bars would break the lowest limit."""
    earlier, later = halves
    assert "proven" in {_chosen(earlier, max_error, DEFAULT_THRESHOLD).basis for max_error in MAX_ERRORS}
    careless = Bar(threshold=0.0, basis="trusted")
    assert _least_error(later, careless) > MAX_ERRORS[3]
