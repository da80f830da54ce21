"""Whether a bar that one half of judged pairs supports keeps its promise on the other half."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cognition.domain.error_bound import Limit, bar_of, error_bound
from cognition.domain.guard import analyse
from cognition.domain.semantic import Label
from cognition.domain.similarity import Candidate, Limits, judge

DATA = Path(__file__).parents[3] / "shared" / "data" / "adjudicated_pairs.jsonl"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
CONFIDENCE = 0.95


@pytest.fixture(scope="module")
def verdicts() -> list[Label]:
    """Give each pair that nothing but its score may refuse, in the order of the file."""
    if not DATA.is_file():
        pytest.skip(f"{DATA} is not here; the test needs judged pairs.")
    pairs = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    judged = [
        (judge(analyse(pair["asked"]), Candidate(pair["cached"], pair["cosine"]), Limits(threshold=0)), pair["answers"])
        for pair in pairs
        if pair["answers"] is not None
    ]
    return [Label(verdict.score, right, "judge", NOON) for verdict, right in judged if verdict.score]


@pytest.mark.parametrize("max_error", [0.05, 0.1, 0.2])
def test_the_bar_of_the_first_half_holds_in_the_second(verdicts: list[Label], max_error: float) -> None:
    """The second half does not contradict, with 95 % confidence, what the first half allowed."""
    middle = len(verdicts) // 2
    first, second = verdicts[:middle], verdicts[middle:]
    bar = bar_of(first[::-1], Limit(default=0.92, lowest=0.5, max_error=max_error, confidence=CONFIDENCE))
    reaching = [label.right for label in second if label.score >= bar.threshold]
    # By symmetry the lower bound of the share of wrong ones is one minus the upper bound of the share of right ones.
    at_least = 1 - error_bound(reaching.count(True), len(reaching), CONFIDENCE) if reaching else 0.0
    assert max_error >= at_least
