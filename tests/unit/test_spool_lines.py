"""Settlements as lines: every field comes back, and a damaged line is none."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic_ai.usage import RequestUsage

from cognition.adapters.spool.lines import line_of, settlement_of
from cognition.domain.attribution import Attribution
from cognition.domain.entry import Layer
from cognition.domain.ledger import LedgerRow
from cognition.domain.pricing import Cost
from cognition.domain.settlement import Settlement
from cognition.testing.contracts.samples import a_row
from cognition.testing.contracts.spool import some

# Each field with a value of its own that is not its default; a new field fails the test below.
USAGE: dict[str, Any] = {
    "input_tokens": 1,
    "cache_write_tokens": 2,
    "cache_write_1h_tokens": 3,
    "cache_read_tokens": 4,
    "output_tokens": 5,
    "unmeasured_requests": 6,
    "output_reasoning_tokens": 7,
    "input_audio_tokens": 8,
    "cache_audio_read_tokens": 9,
    "output_audio_tokens": 10,
    "audio_seconds": 1.1,
    "details": {"b": 1, "a": 2},
    "cost": Decimal("0.10"),
}
WHO: dict[str, Any] = {
    "user": "a\0b",
    "team": "\ud800",
    "workflow": "nächtlich 🦊",
    "flow_run_id": "f",
    "root_flow_run_id": "r",
    "deployment_id": "d",
    "task_run_id": "t",
    "task_name": "triage\n2",
    "run_count": 3,
    "tags": ("b", "a", ""),
}
COST: dict[str, Any] = {
    "usd": Decimal("0.123456789"),
    "source": "genai-prices",
    "version": "1",
    "rates": {"output": "2.0", "input": "1"},
}
ROW: dict[str, Any] = {
    "tenant": "acme",
    "namespace": "support",
    "attribution": Attribution(**WHO),
    "request_id": "0123456789abcdef0123456789abcdef",
    "request_key": bytes(range(32)),
    "model": "openai:gpt-5",
    "requested_model": "openai:gpt-5-mini",
    "usage": RequestUsage(**USAGE),
    "cost": Cost(**COST),
    "saved_usd": Decimal("1.00"),
    "layer": Layer.L2,
    "status": "late",
    "attempt": 2,
    "latency_ms": 1 / 3,
    "error": "ProviderTimeout",
    "created_at": datetime(2026, 11, 26, 8, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45))),
}
SETTLEMENT: dict[str, Any] = {
    "row": LedgerRow(**ROW),
    "held": True,
    "subjects": {"user": "alice", "flow_run": "\udfff"},
}


@pytest.mark.parametrize(
    ("kind", "values"),
    [(RequestUsage, USAGE), (Attribution, WHO), (Cost, COST), (LedgerRow, ROW), (Settlement, SETTLEMENT)],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
def test_the_example_leaves_no_field_out(kind: Any, values: dict[str, Any]) -> None:
    """So that a field that is added fails here or in the next test, and is never lost in a file."""
    assert {one.name for one in dataclasses.fields(kind)} == values.keys()
    defaults = {one.name: one.default for one in dataclasses.fields(kind)}
    assert [] == [name for name, value in values.items() if value == defaults[name]]


def test_every_field_comes_back() -> None:
    """And with them the row's key and hash, by which the ledger knows that it stands there already."""
    given = Settlement(**SETTLEMENT)
    line = line_of(given)

    read = settlement_of(line)

    assert read is not None
    assert given == read
    assert (given.attempt, given.row.payload_hash) == (read.attempt, read.row.payload_hash)
    assert (1, line.isascii()) == (line.count(b"\n"), True)


@pytest.mark.parametrize(
    "row",
    [
        a_row(None, saved_usd=None),
        a_row("0E-9", cost=Cost(usd=Decimal("0E-9"), source="free", version="")),
        a_row(usage=RequestUsage()),
        a_row(usage=RequestUsage(input_tokens=1, something_new=5)),
        a_row(created_at=datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
        a_row(created_at=datetime(2026, 7, 1, tzinfo=UTC)),
        a_row(latency_ms=100),
    ],
    ids=["unpriced", "exponent", "no usage", "new kind of usage", "zone", "UTC", "whole milliseconds"],
)
def test_odd_rows_keep_their_hash(row: LedgerRow) -> None:
    """Another hash would be a conflict with the same row, written before its answer was lost."""
    read = settlement_of(line_of(Settlement(row=row)))
    assert read is not None
    assert (row, row.payload_hash) == (read.row, read.row.payload_hash)


def test_a_damaged_line_is_none() -> None:
    """Wherever it is cut, and whichever byte of it is another one."""
    line = line_of(some(1)[0])
    assert [] == [end for end in range(len(line) - 1) if settlement_of(line[:end]) is not None]
    flipped = [line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :] for at in range(len(line) - 1)]
    assert [] == [bad for bad in flipped if settlement_of(bad) is not None]
