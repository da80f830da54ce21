"""However many ask the same at the same time, in however many processes, the provider is asked once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter

import psutil
import pytest

from cognition.testing import Fault, Reply
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import Stage, wait_until

# Forks after the import, which costs most of the time, and before an engine is opened.
_PROCESSES = """
import json, os, threading
from cognition import Cognition

PROCESSES, CALLS = int(os.environ["PROCESSES"]), int(os.environ["CALLS"])

def ask(engine, answers):
    try:
        answers.append(engine.complete("What?").layer)
    except Exception as error:
        answers.append(type(error).__name__)

def work():
    answers = []
    with Cognition.open() as engine:
        threads = [threading.Thread(target=ask, args=(engine, answers)) for _ in range(CALLS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    os.write(1, (json.dumps(answers) + "\\n").encode())

children = []
for _ in range(PROCESSES):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


def _start(stage: Stage, processes: int, calls: int) -> subprocess.Popen[str]:
    return stage.start(
        _PROCESSES,
        PROCESSES=str(processes),
        CALLS=str(calls),
        COGNITION_RESILIENCE__INITIAL_BACKOFF="PT0.05S",
    )


def _answers(program: subprocess.Popen[str]) -> Counter[str]:
    printed, errors = program.communicate(timeout=60)
    assert (0, "") == (program.returncode, errors)
    return Counter(answer for line in printed.splitlines() for answer in json.loads(line))


def test_four_processes_ask_once(stage: Stage) -> None:
    """Of 100 identical calls one asks the provider, the others get its answer."""
    stage.provider.default = Reply(delay_seconds=1.0)
    assert {"provider": 1, "l1": 99} == _answers(_start(stage, 4, 25))
    assert 1 == stage.provider.count


def test_four_processes_ask_once_without_redis(own_stage: Stage, own_servers: Servers) -> None:
    """A lease in PostgreSQL stands in."""
    own_stage.provider.default = Reply(delay_seconds=1.0)
    own_servers.kill_redis()
    answers = _answers(_start(own_stage, 4, 25))
    assert (1, 100) == (answers["provider"], answers.total())
    assert 1 == own_stage.provider.count


def test_an_error_is_shared(stage: Stage) -> None:
    """A refusal that one caller got is everybody's; nobody asks again to hear the same."""
    stage.provider.default = Fault(status=400, delay_seconds=1.0)
    assert {"RequestRejected": 100} == _answers(_start(stage, 4, 25))
    assert 1 == stage.provider.count


def test_retries_are_shared(stage: Stage) -> None:
    """A passing error costs as many attempts as one caller may make, not as many callers as there are."""
    stage.provider.default = Fault(status=503, delay_seconds=0.5)
    assert {"ProviderUnavailable": 40} == _answers(_start(stage, 2, 20))
    assert 3 == stage.provider.count


def test_a_killed_leader_is_replaced(stage: Stage) -> None:
    """When the one that asks is killed, another one asks as soon as the lease has run out; all get an answer."""
    held = time.monotonic() + 60
    stage.provider.script(lambda _: Reply(delay_seconds=max(0.0, held - time.monotonic())))
    stage.provider.default = Reply(text="Second try.")
    program = _start(stage, 4, 5)
    stage.provider.wait_for_calls(1, timeout_seconds=30)
    # The others have found the lease taken by then; whoever has not changes nothing.
    time.sleep(0.5)
    os.kill(_asking(stage, program), signal.SIGKILL)
    answers = _answers(program)
    assert (15, 1) == (answers.total(), answers["provider"])
    assert 2 == stage.provider.count


def test_a_redis_that_dies_meanwhile_keeps_nobody_waiting(own_stage: Stage, own_servers: Servers) -> None:
    """Who waits for a lease in Redis when Redis is killed gets an answer nevertheless."""
    own_stage.provider.default = Reply(delay_seconds=1.0)
    program = _start(own_stage, 2, 5)
    own_stage.provider.wait_for_calls(1, timeout_seconds=30)
    own_servers.kill_redis()
    assert 10 == sum(count for layer, count in _answers(program).items() if layer in {"provider", "l1", "l2"})
    assert own_stage.provider.count <= 2


@pytest.mark.parametrize("cache", ["use", "refresh"])
def test_a_lease_is_given_back(stage: Stage, cache: str) -> None:
    """After a call nobody holds the lease, so that the next one need not wait for its end."""
    engine = stage.open()
    stage.ask(engine, cache=cache)
    wait_until(lambda: not [name for name in stage.redis_contents() if b":l:" in name])


def _asking(stage: Stage, program: subprocess.Popen[str]) -> int:
    """Return the id of the process that is connected to the provider."""
    port = int(stage.provider.url.rpartition(":")[2])
    children = psutil.Process(program.pid).children()
    return next(
        child.pid
        for child in children
        if any(connection.raddr and connection.raddr.port == port for connection in child.net_connections("tcp"))
    )
