"""A provider that is down for a minute under steady load from several processes: who still asks it, who is answered.

Run `python -m benchmarks.provider_outage` (or `make bench`); it takes about two minutes. Twenty callers make five calls
a second each, from real processes that share one PostgreSQL, each call with a prompt of its own and past the cache.
Four of five callers have a fallback. The first model's server is real HTTP; for the time of the outage it answers 500
or refuses connections. Breakers have the defaults of the specification, but open for 10 seconds at first instead of 60,
so that several open periods fit into the outage.

The bound is the issue's: five attempts to learn that the provider is down, and three probes whenever an open period
ends during the outage. Attempts that were under way when the first process knew that the breaker had opened are
counted apart, for nobody can take them back; those that began up to 20 ms later belong to them, because they had been
admitted before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

from pydantic import TypeAdapter

from benchmarks._outage_worker import FIRST, OTHER, Made, Order, Report
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.adapters.postgres.connection import connect
from cognition.domain.breaker import BreakerState
from cognition.domain.breaker_standing import Transition
from cognition.testing import FakeOpenAI, Fault, Reply, temporary_servers

CALLERS, EVERY_SECONDS, ALONE_SHARE = 20, 0.2, 5
FAIL_FAST_SECONDS = 0.05
_ON_THEIR_WAY_SECONDS = 0.02
_BEFORE_SECONDS, _AFTER_SECONDS = 5.0, 2.0


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What happened.

    Attributes:
        down: When the provider failed, in seconds since 1970.
        back: When it was well again.
        reports: What each process saw.
        history: How the shared breaker changed, oldest first.
    """

    down: float
    back: float
    reports: Sequence[Report]
    history: Sequence[Transition]

    @property
    def tripped(self) -> float:
        """When the first process knew that the breaker had opened."""
        return min(at for report in self.reports for state, at in report.told if state == "open")

    @property
    def before(self) -> int:
        """How many attempts at the dead provider were admitted before that."""
        return sum(one.began < self.tripped + _ON_THEIR_WAY_SECONDS for one in self.failed_attempts)

    @property
    def failed_attempts(self) -> list[Made]:
        """Attempts at the first model that failed, by time."""
        made = (one for report in self.reports for one in report.attempts if one.alone and one.what != "ok")
        return sorted(made, key=lambda one: one.began)

    @property
    def probed(self) -> int:
        """How many open periods ended during the outage."""
        return sum(one.to_state is BreakerState.HALF_OPEN and one.at.timestamp() < self.back for one in self.history)

    def calls(self, *, alone: bool) -> list[Made]:
        """Return the calls made during the outage, with a fallback or without."""
        made = (one for report in self.reports for one in report.calls if one.alone is alone)
        return [one for one in made if self.down <= one.began < self.back]

    @property
    def recovery_seconds(self) -> float:
        """How long after the provider was back the breaker closed."""
        closed = (one.at.timestamp() for one in self.history if one.to_state is BreakerState.CLOSED)
        return min((at - self.back for at in closed if at > self.back), default=float("inf"))

    @property
    def last_open_seconds(self) -> float:
        """How long the last open period was."""
        return [one.open_seconds or 0.0 for one in self.history if one.to_state is BreakerState.OPEN][-1]


class Crowd:
    """The processes that call."""

    def __init__(self, orders: Sequence[Order]) -> None:
        """Start them, and wait until each has made its first call."""
        command = [sys.executable, "-m", "benchmarks._outage_worker"]
        self._processes = [
            subprocess.Popen(  # noqa: S603  our own file
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
            )
            for _ in orders
        ]
        for process, order in zip(self._processes, orders, strict=True):
            self._write(process, json.dumps(asdict(order)))
        for process in self._processes:
            self._read(process)

    def begin(self) -> None:
        """Let them call."""
        for process in self._processes:
            self._write(process, "begin")

    def end(self) -> list[Report]:
        """Stop them, and return what they saw."""
        for process in self._processes:
            self._write(process, "end")
        said = [process.communicate()[0] for process in self._processes]
        if any(process.returncode for process in self._processes):
            sys.exit("A process ended with an error; the figures would be wrong.")
        return [TypeAdapter(Report).validate_json(one) for one in said]

    def close(self) -> None:
        """End those that have not ended."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def _write(self, process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def _read(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            sys.exit("A process ended early; the figures would be wrong.")
        return line


def main() -> int:
    """Play an outage, print, and fail when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the provider is down")
    parser.add_argument("--open-for", type=float, default=10.0, help="how long the breaker opens first, in seconds")
    parser.add_argument("--processes", type=int, default=4, help="over how many processes the callers are spread")
    parser.add_argument("--kind", choices=("500", "refused"), default="500", help="how the provider is down")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    outage = _play(arguments)
    figures, goals = _figures(outage), _goals(outage)
    if arguments.json:
        print(json.dumps({"figures": figures, "goals": goals}))
    else:
        print(f"{CALLERS} callers in {arguments.processes} processes, {CALLERS / EVERY_SECONDS:g} calls a second")
        for name, value in figures.items():
            print(f"{name:<58}{value}")
        for name, met in goals.items():
            print(f"{name:<58}{'met' if met else 'MISSED'}")
    return 0 if all(goals.values()) else 1


def _play(arguments: argparse.Namespace) -> Outage:
    with ExitStack() as open_ones:
        url = open_ones.enter_context(temporary_servers()).database_url
        migrate.upgrade(url)
        first, other = open_ones.enter_context(FakeOpenAI()), open_ones.enter_context(FakeOpenAI())
        engine = connect(url)
        open_ones.callback(engine.dispose)
        store = PostgresBreakers(engine, "default")
        crowd = Crowd([_order(number, arguments, url, (first, other)) for number in range(arguments.processes)])
        open_ones.callback(crowd.close)
        crowd.begin()
        time.sleep(_BEFORE_SECONDS)
        down = time.time()
        _break(first, arguments.kind)
        time.sleep(arguments.seconds)
        _mend(first, arguments.kind)
        back = time.time()
        # An open period may be three times as long as the outage, as it doubles.
        _wait(lambda: _is_closed(store), 3 * arguments.seconds + arguments.open_for)
        time.sleep(_AFTER_SECONDS)
        reports = crowd.end()
        return Outage(down=down, back=back, reports=reports, history=store.history(None, 1000)[::-1])


def _order(number: int, arguments: argparse.Namespace, url: str, fakes: tuple[FakeOpenAI, FakeOpenAI]) -> Order:
    people = [one for one in range(CALLERS) if one % arguments.processes == number]
    alone = sum(one // arguments.processes % ALONE_SHARE == 0 for one in people) if len(people) > 1 else number % 5 == 0
    return Order(
        name=f"process {number}",
        database_url=url,
        first_url=fakes[0].base_url,
        other_url=fakes[1].base_url,
        callers=len(people) - alone,
        alone=alone,
        every_seconds=EVERY_SECONDS,
        open_seconds=arguments.open_for,
    )


def _break(fake: FakeOpenAI, kind: str) -> None:
    if kind == "refused":
        fake.close()
    else:
        fake.default = Fault(status=500)


def _mend(fake: FakeOpenAI, kind: str) -> None:
    if kind == "refused":
        fake.open()
    else:
        fake.default = Reply()


def _is_closed(store: PostgresBreakers) -> bool:
    return all(one.state is BreakerState.CLOSED for one in store.standings())


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _figures(outage: Outage) -> dict[str, str]:
    attempts, tripped = outage.failed_attempts, outage.tripped
    later = len(attempts) - outage.before
    with_fallback, alone = outage.calls(alone=False), outage.calls(alone=True)
    answered = [one for one in with_fallback if one.what == OTHER]
    fast = [one for one in alone if one.what == "CircuitOpen" and not one.attempts]
    opened = [f"{one.open_seconds:.1f}" for one in outage.history if one.to_state is BreakerState.OPEN]
    return {
        "outage": f"{outage.back - outage.down:.1f} s; open periods of {', '.join(opened)} s",
        "attempts at the dead provider, of calls that wanted it": f"{len(attempts)} of"
        f" {len(with_fallback) + len(alone)}; bound 5 + 3 x {outage.probed} = {5 + 3 * outage.probed}",
        "  until the breaker was known to be open": f"{outage.before}; the first failed"
        f" {_ms(attempts[0].began - outage.down)} after the outage began, known"
        f" {_ms(tripped - attempts[0].began)} later",
        "  after that": f"{later}, of which {3 * outage.probed} may be probes; seconds after the outage began:"
        f" {', '.join(f'{one.began - outage.down:.2f}' for one in attempts[outage.before :])}",
        "processes that went on alone, PostgreSQL being too slow": f"{sum(one.lost for one in outage.reports)}; each"
        " probes for itself then, three times an open period",
        "load of the machine in the last minute": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; above"
        f" {os.cpu_count()} calls queue in front of it, and more of them are under way",
        "answered by the fallback, of calls with one": f"{len(answered)} of {len(with_fallback)}"
        f" ({100 * len(answered) / len(with_fallback):.2f} %)",
        "  after": _spread([one.seconds for one in answered]),
        "refused at once, of calls without a fallback": f"{len(fast)} of {len(alone)}; the others:"
        f" {_kinds([one for one in alone if one not in fast])}",
        "  after ": _spread([one.seconds for one in fast]),
        "closed again after the provider was back": f"{outage.recovery_seconds:.2f} s; the last open period was"
        f" {outage.last_open_seconds:.1f} s",
    }


def _goals(outage: Outage) -> dict[str, bool]:
    attempts, beyond = outage.failed_attempts, max(0, outage.before - 5)
    fast = sorted(one.seconds for one in outage.calls(alone=True) if one.what == "CircuitOpen" and not one.attempts)
    return {
        f"attempts within the bound ({beyond} under way apart)": len(attempts) - beyond <= 5 + 3 * outage.probed,
        "all calls with a fallback answered": all(one.what in {OTHER, FIRST} for one in outage.calls(alone=False)),
        f"99 % of refusals within {_ms(FAIL_FAST_SECONDS)}": quantiles(fast, n=100)[-1] < FAIL_FAST_SECONDS,
        "recovered within one open period": outage.recovery_seconds <= outage.last_open_seconds,
    }


def _spread(seconds: Sequence[float]) -> str:
    cuts = quantiles(seconds, n=100)
    return (
        f"median {_ms(median(seconds))}, 95th percentile {_ms(cuts[94])}, 99th {_ms(cuts[98])},"
        f" longest {_ms(max(seconds))}"
    )


def _kinds(calls: Sequence[Made]) -> str:
    names = [one.what for one in calls]
    return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names))) or "none"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
