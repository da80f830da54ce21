"""How calls fare when a provider misbehaves: the 16 scenarios of Failover Bench, with a fallback configured.

Run `python -m benchmarks.failover [--data PATH]` (or `make bench`); it takes about a minute and a half. Two fake
providers that speak real HTTP play the first model and the fallback. A scenario passes when its call is answered (S13:
refused, as it must be) and every check of the catalogue holds, advisory ones too. Configured are 3 attempts, 10 seconds
for each and a fallback; the catalogue's baseline allows as many attempts and 30 seconds.

Checks without a meaning for an engine that does not stream to its callers: none of their kinds is left out, but two are
read so. `no_truncated_success`: the answer that is returned is whole, or none is. `wall_max_s` of S07 and S11 is the
time until the whole answer is there, for nobody sees a first token.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks._failover_faults import ANSWER, OUTAGE_SECONDS, PLAIN, STREAMED, Script, prefill_refused, whole
from cognition import Cognition, CognitionError, Completion, Credentials, Fallback, ResiliencePolicy, Settings
from cognition.adapters.postgres import migrate
from cognition.testing import FakeOpenAI, ReceivedCall, temporary_servers

DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "failover-scenarios" / "catalogue.json"
POLICY = ResiliencePolicy(attempts=3, attempt_timeout=timedelta(seconds=10))
FIRST, STREAMING, OTHER = "openai-chat:gpt-5", "anthropic:claude-haiku-4-5", "openai-chat:gpt-5-mini"
_SEQUENCE = 20
_EVERY_SECONDS = 4.0


@dataclass
class Played:
    """What happened in a scenario.

    Attributes:
        calls: What the first model received.
        other_calls: What the fallback received.
        answers: What the caller got.
        seconds: How long each call took.
        began: When each call began, in seconds after the first.
        after: What the first call after the fault got.
    """

    calls: Sequence[ReceivedCall] = ()
    other_calls: Sequence[ReceivedCall] = ()
    answers: list[Completion[str] | CognitionError] = field(default_factory=list[Completion[str] | CognitionError])
    seconds: list[float] = field(default_factory=list[float])
    began: list[float] = field(default_factory=list[float])
    after: Completion[str] | CognitionError | None = None

    @property
    def served(self) -> list[Completion[str]]:
        """The answers that are no errors."""
        return [one for one in self.answers if isinstance(one, Completion)]

    def attempts_within(self, seconds: float) -> int:
        """Return how many attempts the first model received in the first seconds."""
        return sum((call.at - self.calls[0].at).total_seconds() <= seconds for call in self.calls)


def _recovered(played: Played, seconds: float) -> bool:
    """Whether the first model answers again, and goes on to, so many seconds after its outage."""
    late = [
        answer
        for began, answer in zip(played.began, played.answers, strict=True)
        if began >= OUTAGE_SECONDS + seconds or answer is played.answers[-1]
    ]
    return all(isinstance(one, Completion) and one.model == FIRST for one in late)


Check = Callable[[Played, Any], bool]
CHECKS: Mapping[str, Check] = {
    "attempts_primary_min": lambda played, least: len(played.calls) >= least,
    "attempts_primary_max": lambda played, most: len(played.calls) <= most,
    "attempts_primary_eq": lambda played, number: len(played.calls) == number,
    "max_attempts_within_1.5s": lambda played, most: played.attempts_within(1.5) <= most,
    "max_attempts_within_3s": lambda played, most: played.attempts_within(3) <= most,
    "first_gap_min_s": lambda played, least: (played.calls[1].at - played.calls[0].at).total_seconds() >= least,
    "no_hang": lambda played, most: max(played.seconds) <= most,
    "seq_no_hang": lambda played, most: max(played.seconds) <= most,
    "wall_max_s": lambda played, most: max(played.seconds) <= most,
    "no_truncated_success": lambda played, _: all(answer.text == ANSWER for answer in played.served),
    "complete": lambda played, _: all(answer.text == ANSWER for answer in played.served),
    "usage_present": lambda played, _: all(answer.usage.output_tokens > 0 for answer in played.served),
    "alive_after": lambda played, _: isinstance(played.after, Completion),
    "no_prefill_masking": lambda played, _: all(_ends_with_user(call) for call in played.other_calls),
    "reported_model_is_fallback": lambda played, _: all(answer.model == OTHER for answer in played.served),
    "seq_served_during_outage": lambda played, _: len(played.served) == len(played.answers),
    "seq_recovered_within_s": _recovered,
    "seq_probe_discipline": lambda played, _: len(played.calls) > 0,
}
"""Each kind of check in the catalogue."""


def _ends_with_user(call: ReceivedCall) -> bool:
    return call.body["messages"][-1]["role"] == "user"


class Stage:
    """Plays one scenario."""

    def __init__(self, engine: Cognition, scenario: str, model: str, script: Script) -> None:
        """Prepare.

        Args:
            engine: What makes the calls.
            scenario: Its name.
            model: The first model.
            script: What it does.
        """
        self._engine = engine
        self._scenario = scenario
        self._model = model
        lock = threading.Lock()

        def step(call: ReceivedCall) -> Any:
            del call
            with lock:
                return next(script)

        self._first = FakeOpenAI(default=step)
        self._other = FakeOpenAI(default=prefill_refused if scenario == "S14" else whole())

    def play(self) -> Played:
        """Make the calls of the scenario."""
        played = Played()
        with self._first, self._other:
            started = time.monotonic()
            for number in range(_SEQUENCE if self._scenario == "S15" else 1):
                time.sleep(max(0.0, started + number * _EVERY_SECONDS - time.monotonic()))
                played.began.append(time.monotonic() - started)
                played.answers.append(self._ask())
                played.seconds.append(time.monotonic() - started - played.began[-1])
            played.calls, played.other_calls = self._first.calls, self._other.calls
            self._first.default = whole()
            played.after = self._ask()
        return played

    def _ask(self) -> Completion[str] | CognitionError:
        url = self._first.url if self._model == STREAMING else self._first.base_url
        fallback = Fallback(OTHER, Credentials(api_key="other", base_url=self._other.base_url))
        try:
            return self._engine.complete(
                f"Scenario {self._scenario}",
                model=self._model,
                credentials=Credentials(api_key="first", base_url=url),
                fallbacks=[fallback],
                cache="bypass",
            )
        except CognitionError as error:
            return error


def failed_checks(scenario: Mapping[str, Any], played: Played) -> list[str]:
    """Return what did not hold, the rescue itself included."""
    served = 0 if scenario.get("ideal") == "error" else len(played.answers)
    failed = [] if len(played.served) == served else ["rescued"]
    return failed + [f"{name} {limit}" for name, limit, _ in scenario["checks"] if not CHECKS[name](played, limit)]


def verdict(engine: Cognition, scenario: Mapping[str, Any]) -> tuple[list[str], str]:
    """Play a scenario in each form it has; return what failed, and a line about it."""
    forms = [(FIRST, PLAIN[scenario["id"]])]
    if scenario["id"] in STREAMED:
        forms.append((STREAMING, STREAMED[scenario["id"]]))
    failed: list[str] = []
    told: list[str] = []
    for model, script in forms:
        played = Stage(engine, scenario["id"], model, script()).play()
        failed += failed_checks(scenario, played)
        told.append(f"{len(played.calls)}+{len(played.other_calls)} calls {max(played.seconds):5.1f} s")
    return failed, ", streamed ".join(told)


def main() -> int:
    """Play all scenarios side by side and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA, help="the catalogue of the scenarios")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        print(f"There is no catalogue at {arguments.data}; name it with --data.")
        return 0
    scenarios: list[dict[str, Any]] = json.loads(arguments.data.read_text(encoding="utf-8"))["scenarios"]
    with temporary_servers() as servers:
        migrate.upgrade(servers.database_url)
        settings = Settings.model_validate(
            {"database_url": servers.database_url, "redis_url": servers.redis_url, "resilience": POLICY}
        )
        with Cognition.open(settings) as engine, ThreadPoolExecutor(len(scenarios)) as threads:
            # Importing the SDKs takes seconds, which no scenario is about.
            for model in (FIRST, STREAMING):
                Stage(engine, "S16", model, repeat(whole())).play()
            verdicts = list(threads.map(partial(verdict, engine), scenarios))
    passed = sum(not failed for failed, _ in verdicts)
    if arguments.json:
        rows = [
            {"id": scenario["id"], "failed": failed} for scenario, (failed, _) in zip(scenarios, verdicts, strict=True)
        ]
        print(json.dumps({"passed": passed, "of": len(scenarios), "scenarios": rows}))
    else:
        for scenario, (failed, told) in zip(scenarios, verdicts, strict=True):
            print(f"{scenario['id']}  {'pass' if not failed else 'FAIL'}  {scenario['fault']:<68.68}  {told}")
            if failed:
                print(f"           {', '.join(failed)}")
        print(f"{passed} of {len(scenarios)}")
    return 0 if passed == len(scenarios) else 1


if __name__ == "__main__":
    sys.exit(main())
