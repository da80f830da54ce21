"""What is spent when many processes race for the last dollar: ours beside check-then-act, on the same PostgreSQL.

Run `python -m benchmarks.budget_race` (or `make bench`). Three parts: the race; the same with callers that are killed,
messages that come twice, and settlements that come late, in three runs; and how many durable pairs of reserve and
settle a second three shared budgets bear, with what bounds them. The server is the embedded one, as durable as always.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from multiprocessing.queues import Queue
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from benchmarks._budget_checks import Books, books, commit_ms, make_naive, naive_call, naive_used, set_durable
from cognition.adapters.embedded import ensure_running
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.adapters.postgres.connection import connect
from cognition.domain.budget import Budget, Scope
from cognition.domain.reservation import CallAttempt, Claim
from cognition.testing import temporary_home

PROCESSES, CALLS, RUNS = 16, 60, 3
LIMIT = Decimal("3.00")  # about two thirds of what the calls want to spend
CALL_SECONDS = 0.005  # how long a provider takes here
LEASE = timedelta(seconds=60)
SHORT_LEASE = timedelta(seconds=1)
KILLED, REPEATED_RESERVE, DUPLICATE_SETTLE, LATE = 0.10, 0.20, 0.30, 0.10
PAIR_GOAL = 500
_ALL_BUSY = 0.85
TENANT = "race"
SUBJECTS: dict[Scope, str] = {"workflow": "nightly", "team": "support", "flow_run": "run-1"}

Work = Callable[[sa.Engine, random.Random, int], Any]


@dataclass(frozen=True)
class Chaos:
    """How one run with accidents ended."""

    spent: Decimal
    killed: int
    books: Books

    @property
    def is_exact(self) -> bool:
        """Whether the counter, its rows and the callers agree, and nothing stays set aside."""
        known = self.books
        return known.used == known.settled_rows == self.spent and known.reserved == known.held_rows == 0


def main() -> int:
    """Measure and print; fail when money was lost, spent twice or set aside for good, or when it is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long pairs are counted")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    with temporary_home() as home:
        url = ensure_running(home).database_url
        migrate.upgrade(url)
        naive, ours = _race(url)
        chaos = [_chaos(url, run) for run in range(RUNS)]
        pairs = _pairs_per_second(url, arguments.seconds)
    met = Decimal("0.99") <= ours / LIMIT <= 1 and all(one.is_exact for one in chaos) and pairs["durable"] >= PAIR_GOAL
    if arguments.json:
        shares = {"naive_percent": str(_percent(naive)), "ours_percent": str(_percent(ours))}
        print(json.dumps({**shares, "exact": [one.is_exact for one in chaos], "pairs": pairs, "met": met}))
    else:
        _print(naive, ours, chaos)
        _print_pairs(pairs)
    return 0 if met else 1


# -- the race ---------------------------------------------------------------------------------------------------------


def _race(url: str) -> tuple[Decimal, Decimal]:
    """Return what is spent of the limit by check-then-act, and by us."""
    engine = connect(url)
    make_naive(engine)
    _put_budgets(engine, ("workflow",))
    _run(url, PROCESSES, _naive_caller)
    _run(url, PROCESSES, _caller)
    naive, ours = naive_used(engine), books(engine).used
    engine.dispose()
    return naive, ours


def _naive_caller(engine: sa.Engine, dice: random.Random, worker: int) -> None:
    del worker
    for _ in range(CALLS):
        _, cost = _amounts(dice)
        naive_call(engine, LIMIT, cost, CALL_SECONDS)


def _caller(engine: sa.Engine, dice: random.Random, worker: int) -> None:
    store = PostgresBudgets(engine, TENANT)
    for _ in range(CALLS):
        estimate, cost = _amounts(dice)
        claim = _claim(worker, estimate, LEASE)
        if store.reserve(claim).admitted:
            time.sleep(CALL_SECONDS)
            store.settle(claim.attempt, cost)


# -- accidents --------------------------------------------------------------------------------------------------------


def _chaos(url: str, run: int) -> Chaos:
    engine = connect(url)
    _put_budgets(engine, ("workflow", "team", "flow_run"))
    told = _run(url, PROCESSES, _unlucky_caller, seed=run)
    time.sleep(SHORT_LEASE.total_seconds())
    PostgresBudgets(engine, TENANT).expire()
    found = books(engine)
    engine.dispose()
    return Chaos(
        spent=sum((spent for spent, _ in told), Decimal(0)), killed=sum(killed for _, killed in told), books=found
    )


def _unlucky_caller(engine: sa.Engine, dice: random.Random, worker: int) -> tuple[Decimal, int]:
    """Return what one process spent by its own account, and how many of its callers were killed."""
    store = PostgresBudgets(engine, TENANT)
    spent, killed = Decimal(0), 0
    late: list[tuple[CallAttempt, Decimal]] = []
    for _ in range(CALLS):
        estimate, cost = _amounts(dice)
        claim = _claim(worker, estimate, SHORT_LEASE)
        fate = dice.random()
        if fate < KILLED:
            _killed(store, claim)
            killed += 1
            continue
        admitted = store.reserve(claim).admitted
        if dice.random() < REPEATED_RESERVE:
            store.reserve(claim)
        if not admitted:
            continue
        spent += cost
        if fate < KILLED + LATE:
            late.append((claim.attempt, cost))
            continue
        time.sleep(CALL_SECONDS)
        for _ in range(2 if dice.random() < DUPLICATE_SETTLE else 1):
            store.settle(claim.attempt, cost)
    # So late that somebody else may have got the money.
    time.sleep(SHORT_LEASE.total_seconds())
    for attempt, cost in late:
        store.settle(attempt, cost)
    return spent, killed


def _killed(store: PostgresBudgets, claim: Claim) -> None:
    """Reserve in a process that is killed before it settles."""
    child = os.fork()
    if child == 0:
        try:
            store.reserve(claim)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


# -- throughput -------------------------------------------------------------------------------------------------------


def _pairs_per_second(url: str, seconds: float) -> dict[str, Any]:
    """Return pairs a second over three shared budgets, durable and not, and what one connection alone can do."""
    engine = connect(url)
    figures: dict[str, Any] = {"seconds": seconds, "cores": os.cpu_count(), "commit_ms": commit_ms(engine)}
    for name, processes, durable in (
        ("alone", 1, True),
        ("durable", PROCESSES, True),
        ("not_durable", PROCESSES, False),
    ):
        _put_budgets(engine, ("workflow", "team", "flow_run"), Decimal(10_000_000))
        set_durable(engine, durable=durable)
        busy = _busy_seconds()
        started = time.perf_counter()
        count = sum(_run(url, processes, _pairs, seconds=seconds))
        elapsed = time.perf_counter() - started
        figures[name] = count / seconds
        figures[f"{name}_busy_cores"] = (_busy_seconds() - busy) / elapsed
        found = books(engine)
        if found.used != found.settled_rows or found.reserved:
            sys.exit("The counters do not agree with their rows.")
    engine.dispose()
    return figures


def _pairs(engine: sa.Engine, dice: random.Random, worker: int, seconds: float = 5.0) -> int:
    store = PostgresBudgets(engine, TENANT)
    until = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < until:
        estimate, cost = _amounts(dice)
        claim = _claim(worker, estimate, LEASE)
        if not store.reserve(claim).admitted:
            sys.exit("There should have been money.")
        store.settle(claim.attempt, cost)
        count += 1
    return count


def _busy_seconds() -> float:
    """Return processor seconds that this machine has spent on anything; 0 where the system does not say."""
    try:
        with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123  a file of the kernel, not of ours
            user, nice, system, _, _, irq, soft, *_ = (int(word) for word in file.readline().split()[1:])
    except OSError:
        return 0.0
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


# -- what they share --------------------------------------------------------------------------------------------------


def _put_budgets(engine: sa.Engine, scopes: Sequence[Scope], limit: Decimal = LIMIT) -> None:
    """Start with fresh budgets of these scopes."""
    with engine.begin() as connection:
        connection.execute(
            sa.text("TRUNCATE user_budgets, budget_periods, budget_reservations, budget_adjustments, budget_alerts")
        )
    store = PostgresBudgets(engine, TENANT)
    for scope in scopes:
        store.put(Budget(scope=scope, subject=SUBJECTS[scope], limit_usd=limit, period="lifetime"), "benchmark")


def _amounts(dice: random.Random) -> tuple[Decimal, Decimal]:
    """Return the most a call can cost and what it costs, in US dollars."""
    estimate = dice.randint(2_000_000, 10_000_000)
    return Decimal(estimate).scaleb(-9), Decimal(dice.randint(estimate // 2, estimate)).scaleb(-9)


def _claim(worker: int, estimate: Decimal, lease: timedelta) -> Claim:
    attempt = CallAttempt(uuid4())
    return Claim(attempt=attempt, subjects=SUBJECTS, estimate_usd=estimate, holder=f"worker {worker}", lease=lease)


def _run(url: str, processes: int, work: Work, seed: int = 0, **options: float) -> list[Any]:
    """Return what each process returns; all begin at the same moment."""
    context = multiprocessing.get_context("fork")  # sixteen fresh interpreters would import longer than they race
    answers: Queue[Any] = context.Queue()
    begin = context.Barrier(processes)

    def body(worker: int) -> None:
        engine = connect(url, pool_size=1)
        engine.connect().close()
        begin.wait()
        answers.put(work(engine, random.Random(f"{seed} {worker}"), worker, **options))  # noqa: S311  no secret
        engine.dispose()

    workers = [context.Process(target=body, args=(worker,)) for worker in range(processes)]
    for one in workers:
        one.start()
    found = [answers.get(timeout=300) for _ in workers]
    for one in workers:
        one.join()
    return found


def _percent(spent: Decimal) -> Decimal:
    return round(100 * spent / LIMIT, 2)


def _print(naive: Decimal, ours: Decimal, chaos: Sequence[Chaos]) -> None:
    print(f"{PROCESSES} processes x {CALLS} calls against one budget of ${LIMIT}")
    print(f"  check-then-act     {_percent(naive):8} % of the limit   ${naive}")
    print(f"  ours               {_percent(ours):8} % of the limit   ${ours}   goal 99 to 100 %")
    print("10 % of callers killed, 20 % reserve twice, 30 % settle twice, 10 % settle after their lease; three budgets")
    for number, one in enumerate(chaos, 1):
        verdict = "exact" if one.is_exact else "WRONG"
        print(
            f"  run {number}: used ${one.books.used} = rows ${one.books.settled_rows} = callers ${one.spent},"
            f" reserved ${one.books.reserved}; {one.killed} killed, states {one.books.states}   {verdict}"
        )


def _print_pairs(pairs: dict[str, Any]) -> None:
    busy = pairs["durable_busy_cores"] > _ALL_BUSY * pairs["cores"]
    bound = "the processors, callers included" if busy else "the disk: callers wait for their commits"
    verdict = "met" if pairs["durable"] >= PAIR_GOAL else "MISSED"
    rows = (
        ("one process", "alone", ""),
        (f"{PROCESSES} processes", "durable", f"goal >= {PAIR_GOAL}   {verdict}"),
        ("  not durable", "not_durable", "for comparison"),
    )
    print(f"pairs over three shared budgets; {pairs['cores']} cores, a commit takes {pairs['commit_ms']:.2f} ms")
    for title, name, note in rows:
        print(f"  {title:18} {pairs[name]:7.0f} pairs/s   {pairs[f'{name}_busy_cores']:.2f} cores busy   {note}")
    print(f"  bound by {bound}")


if __name__ == "__main__":
    sys.exit(main())
