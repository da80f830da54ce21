"""The SQL functions return the right figures."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, Row, func, insert, select, text

from cognition.adapters.postgres.tables import budget_periods, budget_reservations, llm_cache_stats, user_budgets

BUDGET = UUID(int=1)
DAY = timedelta(days=1)


def count(engine: Engine, layer: str, *, hours_ago: int = 0, **figures: object) -> None:
    """Add a rollup row."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    row = {"tenant": "default", "hour": hour, "layer": layer, "namespace": "n", "model": "m"}
    with engine.begin() as connection:
        connection.execute(insert(llm_cache_stats).values(row | figures))


def rows_of(engine: Engine, function: str, *arguments: object) -> list[Row[Any]]:
    """Call a function that returns a table."""
    with engine.connect() as connection:
        call = getattr(func, function)(*arguments)
        return list(connection.execute(select(text("*")).select_from(call)))


def hit_rate(engine: Engine, *arguments: object) -> Row[Any]:
    """Return the one row of `calculate_cache_hit_rate`."""
    [row] = rows_of(engine, "calculate_cache_hit_rate", *arguments)
    return row


def give_budget(engine: Engine, **columns: object) -> None:
    """Add a budget, daily and of ten dollars for alice unless said otherwise."""
    row = {"tenant": "default", "budget_id": BUDGET, "scope": "user", "subject": "alice"}
    row |= {"limit_usd": 10, "period": "daily"}
    with engine.begin() as connection:
        connection.execute(insert(user_budgets).values(row | columns))


def spend(engine: Engine, start: str, end: str, **columns: object) -> None:
    """Add a counter of alice; start and end are SQL expressions."""
    row = {"tenant": "default", "budget_id": BUDGET, "subject": "alice"}
    row |= {"period_start": text(start), "period_end": text(end)}
    with engine.begin() as connection:
        connection.execute(insert(budget_periods).values(row | columns))


def test_the_hit_rate_of_a_layer_is_the_share_of_its_look_ups(engine: Engine) -> None:
    """Hits and misses of all hours in the window are added up, those before it are not."""
    count(engine, "l1", hits=3, misses=1, saved_usd=Decimal("0.25"), latency_count=4, latency_ms_sum=2)
    count(engine, "l1", hours_ago=2, hits=0, misses=4, saved_usd=Decimal("0.5"))
    count(engine, "l1", hours_ago=30, hits=1000)
    count(engine, "l2", hits=1000)

    row = hit_rate(engine, "l1", DAY)

    assert (8, 3, 5) == (row.lookups, row.hits, row.misses)
    assert Decimal("0.375") == row.hit_rate
    assert Decimal("0.75") == row.saved_usd
    assert 0.5 == row.mean_latency_ms


def test_the_hit_rate_of_all_layers_is_the_share_of_answers_from_the_cache(engine: Engine) -> None:
    """A miss in one layer is a look-up in the next, so that only the provider's answers count as misses."""
    count(engine, "l1", hits=5, misses=5)
    count(engine, "l2", hits=3, misses=2)
    count(engine, "provider", hits=2, misses=40)

    row = hit_rate(engine, "all", timedelta(hours=1))

    assert (10, 8, 2) == (row.lookups, row.hits, row.misses)
    assert Decimal("0.8") == row.hit_rate


def test_the_hit_rate_of_no_look_ups_is_unknown(engine: Engine) -> None:
    """Nothing is not zero."""
    row = hit_rate(engine, "l3", DAY)

    assert (0, None) == (row.lookups, row.hit_rate)


def test_the_hit_rate_is_that_of_one_tenant(engine: Engine) -> None:
    """The tenant is `default` unless named, never everyone."""
    count(engine, "l1", hits=1)
    count(engine, "l1", hits=2, tenant="acme")

    assert 1 == hit_rate(engine, "l1", DAY).hits
    assert 2 == hit_rate(engine, "l1", DAY, "acme").hits


def test_a_budget_nobody_spent_from_is_whole(engine: Engine) -> None:
    """Without a counter row, everything remains until the end of the day."""
    give_budget(engine)

    [row] = rows_of(engine, "check_budget_status", "alice")

    assert (BUDGET, "user", "alice", "daily") == (row.budget_id, row.scope, row.subject, row.period)
    assert (10, 0, 0, 10) == (row.limit_usd, row.used_usd, row.reserved_usd, row.remaining_usd)
    assert row.period_start + timedelta(days=1) == row.resets_at
    assert "ok" == row.state


@pytest.mark.parametrize(
    ("figures", "remaining", "state"),
    [
        ({"used_usd": 5, "reserved_usd": 2}, 3, "ok"),
        ({"used_usd": 5, "reserved_usd": 3}, 2, "soft_limit"),
        ({"used_usd": 9, "reserved_usd": 1}, 0, "exhausted"),
        ({"used_usd": 9, "reserved_usd": 1, "credit_usd": 10}, 10, "ok"),
    ],
)
def test_a_budget_shows_what_remains(engine: Engine, figures: dict[str, int], remaining: int, state: str) -> None:
    """Reservations count as spent, an adjustment as room."""
    give_budget(engine)
    spend(engine, "date_trunc('day', now(), 'UTC')", "date_trunc('day', now(), 'UTC') + interval '1 day'", **figures)

    [row] = rows_of(engine, "check_budget_status", "alice")

    assert (remaining, state) == (row.remaining_usd, row.state)


def test_a_new_period_starts_at_zero_without_any_job(engine: Engine) -> None:
    """Yesterday's counter still stands there and does not count."""
    give_budget(engine)
    spend(engine, "date_trunc('day', now(), 'UTC') - interval '1 day'", "date_trunc('day', now(), 'UTC')", used_usd=10)

    [row] = rows_of(engine, "check_budget_status", "alice")

    assert (0, "ok") == (row.used_usd, row.state)


def test_a_rolling_budget_adds_up_the_buckets_of_its_window(engine: Engine) -> None:
    """A bucket that has left the window does not count, and the oldest that has not says when money is freed."""
    give_budget(engine, period="rolling", period_length=timedelta(hours=3))
    for hours_ago, used in ((0, 1), (2, 2), (5, 4)):
        start = f"date_trunc('hour', now(), 'UTC') - interval '{hours_ago} hours'"
        spend(engine, start, f"{start} + interval '1 hour'", used_usd=used)

    [row] = rows_of(engine, "check_budget_status", "alice")

    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert 3 == row.used_usd
    assert hour + timedelta(hours=2) == row.resets_at


def test_what_an_ended_lease_holds_is_free(engine: Engine) -> None:
    """The next call gets it; what a living one holds is not."""
    give_budget(engine, period="lifetime")
    spend(engine, "timestamptz 'epoch'", "'infinity'", used_usd=1, reserved_usd=5)
    row = {"tenant": "default", "budget_id": BUDGET, "subject": "alice", "attempt": 1, "holder": "here"}
    row |= {"period_start": text("timestamptz 'epoch'")}
    with engine.begin() as connection:
        for number, lease, usd in ((1, "- interval '1 second'", 2), (2, "+ interval '1 hour'", 3)):
            held = {"call_key": UUID(int=number), "estimate_usd": usd, "lease_until": text(f"now() {lease}")}
            connection.execute(insert(budget_reservations).values(row | held))

    [row] = rows_of(engine, "check_budget_status", "alice")

    assert (1, 3, 6) == (row.used_usd, row.reserved_usd, row.remaining_usd)


def test_a_lifetime_budget_never_resets(engine: Engine) -> None:
    """Its counter has no end."""
    give_budget(engine, period="lifetime")
    spend(engine, "timestamptz 'epoch'", "'infinity'", used_usd=4)

    [row] = rows_of(engine, "check_budget_status", "alice")

    assert (4, None) == (row.used_usd, row.resets_at)


def test_a_user_is_limited_by_budgets_of_everyone_and_of_the_tenant(engine: Engine) -> None:
    """The budget of another user, of another scope, of another tenant and a retired one are not listed."""
    give_budget(engine)
    give_budget(engine, budget_id=UUID(int=2), subject="*")
    give_budget(engine, budget_id=UUID(int=3), scope="tenant", subject="default")
    give_budget(engine, budget_id=UUID(int=4), subject="bob")
    give_budget(engine, budget_id=UUID(int=5), scope="team")
    give_budget(engine, budget_id=UUID(int=6), tenant="acme")
    give_budget(engine, budget_id=UUID(int=7), period="weekly", active=False)

    assert {1, 2, 3} == {row.budget_id.int for row in rows_of(engine, "check_budget_status", "alice")}
    assert {6} == {row.budget_id.int for row in rows_of(engine, "check_budget_status", "alice", "acme")}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("daily", "UTC", 1, "2026-08-19 00:00+00"), ("2026-08-19 00:00", "2026-08-20 00:00")),
        (("weekly", "UTC", 1, "2026-08-23 23:59:59+00"), ("2026-08-17 00:00", "2026-08-24 00:00")),
        (("weekly", "UTC", 7, "2026-08-22 12:00+00"), ("2026-08-16 00:00", "2026-08-23 00:00")),
        (("weekly", "UTC", 7, "2026-08-23 00:00+00"), ("2026-08-23 00:00", "2026-08-30 00:00")),
        (("monthly", "UTC", 1, "2028-02-29 12:00+00"), ("2028-02-01 00:00", "2028-03-01 00:00")),
        (("quarterly", "UTC", 1, "2026-12-31 23:00+00"), ("2026-10-01 00:00", "2027-01-01 00:00")),
        # The clocks of Berlin go forward on 29 March and back on 25 October 2026: days of 23 and 25 hours.
        (("daily", "Europe/Berlin", 1, "2026-03-29 12:00+00"), ("2026-03-28 23:00", "2026-03-29 22:00")),
        (("daily", "Europe/Berlin", 1, "2026-10-25 12:00+00"), ("2026-10-24 22:00", "2026-10-25 23:00")),
        (("monthly", "America/New_York", 1, "2026-11-01 03:00+00"), ("2026-10-01 04:00", "2026-11-01 04:00")),
        (("rolling", "Asia/Kolkata", 1, "2026-08-19 09:30+00"), ("2026-08-19 09:00", "2026-08-19 10:00")),
    ],
)
def test_the_period_of_a_budget_follows_the_calendar_of_its_time_zone(
    engine: Engine, arguments: tuple[object, ...], expected: tuple[str, str]
) -> None:
    """The start is included, the end is not; both are given here in UTC."""
    [found] = rows_of(engine, "budget_period_v1", *arguments)

    assert expected == tuple(moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") for moment in found)
