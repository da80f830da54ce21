"""How programs that use the engine end, fork and are killed: nothing paid is lost, nothing hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

import pytest

from cognition.errors import CognitionError
from cognition.testing import Hang, Reply
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import Stage

# Long enough for an interpreter under load, far shorter than the silences that the provider is told to keep.
_END_SECONDS = 30.0

_OPEN = """
from cognition import Cognition
engine = Cognition.open()
"""


def _statuses(stage: Stage) -> list[str]:
    return [row["status"] for row in stage.ledger("status")]


def _leases(stage: Stage) -> list[bytes]:
    return [name for name in stage.redis_contents() if b":l:" in name]


def _interrupt(stage: Stage, program: str) -> subprocess.Popen[str]:
    """Start a program whose call hangs, press Ctrl-C, and return it when it has ended."""
    stage.provider.default = Hang()
    started = stage.start(program)
    stage.provider.wait_for_calls(1, timeout_seconds=_END_SECONDS)
    os.kill(started.pid, signal.SIGINT)
    try:
        started.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        os.kill(started.pid, signal.SIGABRT)
        raise AssertionError(started.communicate()) from None
    return started


def test_a_program_that_ends_without_closing_loses_nothing(stage: Stage) -> None:
    """Hits that waited are written at exit, with their counts."""
    ended = stage.run(_OPEN + "for _ in range(3): engine.complete('What?')")
    assert (0, "") == (ended.code, ended.errors)
    assert ["cache_hit", "cache_hit", "ok"] == sorted(_statuses(stage))
    (l1,) = stage.sql("SELECT hits FROM llm_cache_stats WHERE layer = 'l1'")
    assert 2 == l1["hits"]


def test_an_engine_that_nobody_holds_any_more_loses_nothing(stage: Stage) -> None:
    """Hits of an engine that was only a local variable are written at exit as well."""
    ended = stage.run(
        "from cognition import Cognition\nprint(*[Cognition.open().complete('?').layer for _ in range(3)])"
    )
    assert (0, "", "provider l1 l1\n") == (ended.code, ended.errors, ended.output)
    assert ["cache_hit", "cache_hit", "ok"] == sorted(_statuses(stage))


def test_a_killed_program_loses_no_money(stage: Stage) -> None:
    """Hits may be lost, but every attempt that was paid stands in the ledger when the caller has its answer."""
    program = """
import os, signal
for number in range(4):
    engine.complete(f"Question {number}")
    engine.complete(f"Question {number}")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert -signal.SIGKILL == stage.run(_OPEN + program).code
    statuses = _statuses(stage)
    assert 4 == statuses.count("ok")
    assert {"ok", "cache_hit"} >= set(statuses)


def test_an_interrupt_ends_a_hanging_call(stage: Stage) -> None:
    """Ctrl-C ends the program at once; the attempt is booked as cancelled, and nobody waits for its lease."""
    program = _interrupt(stage, _OPEN + "engine.complete('What?')")
    assert -signal.SIGINT == program.returncode
    assert ["cancelled"] == _statuses(stage)
    assert [] == _leases(stage)


def test_an_interrupt_ends_hanging_async_calls(stage: Stage) -> None:
    """The same under `asyncio.run`."""
    program = """
import asyncio
async def main(): await asyncio.gather(*(engine.acomplete(f"Question {number}") for number in range(3)))
asyncio.run(main())
"""
    assert -signal.SIGINT == _interrupt(stage, _OPEN + program).returncode
    assert {"cancelled"} == set(_statuses(stage))
    assert [] == _leases(stage)


def test_an_interrupt_ends_a_hanging_batch(stage: Stage) -> None:
    """The same for many prompts."""
    program = _OPEN + "engine.complete_many([f'Question {number}' for number in range(20)])"
    assert -signal.SIGINT == _interrupt(stage, program).returncode
    assert {"cancelled"} == set(_statuses(stage))
    assert [] == _leases(stage)


def test_a_daemon_thread_that_waits_does_not_keep_a_program_alive(stage: Stage) -> None:
    """The program ends although a call of one of its threads hangs."""
    stage.provider.default = Hang()
    program = """
import threading
threading.Thread(target=engine.complete, args=("What?",), daemon=True).start()
input()
"""
    started = stage.start(_OPEN + program)
    stage.provider.wait_for_calls(1, timeout_seconds=_END_SECONDS)
    started.communicate(input="\n", timeout=_END_SECONDS)
    assert 0 == started.returncode
    assert ["cancelled"] == _statuses(stage)


def test_closing_ends_calls_of_other_threads(stage: Stage) -> None:
    """Whoever waits for an answer of an engine that is closed gets an error, not silence."""
    stage.provider.default = Hang()
    engine = stage.open()
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            stage.ask(engine)
        except CognitionError as error:
            errors.append(error)

    caller = threading.Thread(target=ask, daemon=True)
    caller.start()
    stage.provider.wait_for_calls(1)
    engine.close()
    caller.join(_END_SECONDS)
    assert ["The engine was closed before the answer came; keep it open until every call has returned."] == [
        str(error) for error in errors
    ]
    assert ["cancelled"] == _statuses(stage)


def test_a_closed_engine_says_so(stage: Stage) -> None:
    """A call after closing is one sentence, and nothing comes to life again."""
    engine = stage.open()
    stage.ask(engine)
    engine.close()
    with pytest.raises(CognitionError, match="The engine is closed"):
        stage.ask(engine)


def test_closing_waits_for_what_is_paid(stage: Stage) -> None:
    """An answer that arrives while the engine is being closed is booked and kept, or its attempt is cancelled."""
    stage.provider.default = Reply(delay_seconds=0.2)
    for number in range(5):
        engine = stage.open()
        caller = threading.Thread(target=_ask_quietly, args=(stage, engine, f"Question {number}"))
        caller.start()
        stage.provider.wait_for_calls(number + 1)
        stage.provider.pause(0.18 + 0.01 * number)
        engine.close()
        caller.join(_END_SECONDS)
        assert not caller.is_alive()
    assert 5 == len(_statuses(stage))


def test_without_postgres_a_program_ends_all_the_same(own_stage: Stage, own_servers: Servers) -> None:
    """What cannot be written at exit is left to the next process, and counted in one line of the log."""
    own_stage.provider.default = Reply(delay_seconds=1.0)
    program = own_stage.start(_OPEN + "engine.complete('What?'); engine.complete('What?')")
    own_stage.provider.wait_for_calls(1, timeout_seconds=_END_SECONDS)
    own_servers.kill_postgres()
    _, errors = program.communicate(timeout=_END_SECONDS)
    assert 0 == program.returncode
    (line,) = errors.splitlines()
    assert line.startswith("2 ledger rows could not be written yet and wait in ")
    own_servers.start()
    assert own_stage.open().ledger.flush()
    assert 2 == len(own_stage.ledger())


_FORK = """
import os
engine.complete("Before?")
child = os.fork()
print(*[engine.complete(prompt).layer for prompt in ("Before?", f"Asked by {bool(child)}", "Before?")], flush=True)
if child:
    os.waitpid(child, 0)
"""


def test_a_fork_works_in_parent_and_child(stage: Stage) -> None:
    """Both go on: the cache is shared, threads and connections are not."""
    ended = stage.run(_OPEN + _FORK)
    assert (0, "") == (ended.code, ended.errors)
    assert ["l1 provider l1"] * 2 == ended.output.splitlines()
    assert 3 == _statuses(stage).count("ok")
    assert 4 == _statuses(stage).count("cache_hit")


def test_a_fork_while_threads_ask_works(stage: Stage) -> None:
    """A child that is forked in the middle of other calls is not stuck on their locks."""
    program = """
import os, threading
engine.complete("So that nothing is imported while it forks")
stop = threading.Event()
def ask(number):
    while not stop.is_set():
        engine.complete(f"Question {number}")
threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(4)]
for thread in threads: thread.start()
for _ in range(10):
    child = os.fork()
    if not child:
        engine.complete("From the child")
        engine.complete(f"From {os.getpid()}")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
"""
    ended = stage.run(_OPEN + program)
    assert (0, "") == (ended.code, ended.errors)


def test_a_forked_worker_of_multiprocessing_flushes(stage: Stage) -> None:
    """Workers of `multiprocessing` end without Python's exit handlers; their hits are written nevertheless."""
    program = """
import multiprocessing
def work(): engine.complete("What?"); engine.complete("What?")
if __name__ == "__main__":
    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start(); worker.join()
"""
    ended = stage.run(_OPEN + program)
    assert (0, "") == (ended.code, ended.errors)
    assert ["cache_hit", "ok"] == sorted(_statuses(stage))


def test_a_child_does_not_inherit_an_outage(own_stage: Stage, own_servers: Servers) -> None:
    """A child that is forked while Redis is away uses it when it is back."""
    own_servers.kill_redis()
    program = """
import os, sys
engine.complete("What?")
if not os.fork():
    print("forked", flush=True)
    input()
    print(*[engine.complete("What?").layer for _ in range(2)], flush=True)
    os._exit(0)
os.wait()
"""
    started = own_stage.start(_OPEN + program)
    assert started.stdout
    assert started.stdin
    assert "forked\n" == started.stdout.readline()
    own_servers.start()
    print(file=started.stdin, flush=True)
    assert "l2 l1\n" == started.stdout.readline()


def _ask_quietly(stage: Stage, engine: object, prompt: str) -> None:
    try:
        stage.ask(engine, prompt)  # pyright: ignore[reportArgumentType]
    except CognitionError:
        return
