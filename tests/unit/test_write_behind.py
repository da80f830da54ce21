"""Work that nobody waits for, until somebody needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from cognition.services.write_behind import WriteBehind


def test_a_step_is_done_once() -> None:
    """Whoever comes first does it: the other thread, or the one who needs it."""
    submitted: list[Callable[[], None]] = []
    done: list[str] = []
    behind = WriteBehind(submitted.append)
    behind.add(lambda: done.append("one"))
    behind.add(lambda: done.append("two"))
    assert [] == done
    submitted[1]()
    assert ["two"] == done
    behind.settle()
    submitted[0]()
    behind.settle()
    assert ["two", "one"] == done


def test_settling_waits_for_a_step_that_has_begun() -> None:
    """It returns when the step is done, not when it is taken."""
    begun, may_end = threading.Event(), threading.Event()
    done: list[str] = []

    def step() -> None:
        begun.set()
        may_end.wait(10)
        done.append("step")

    def submit(use: Callable[[], None]) -> None:
        threading.Thread(target=use, daemon=True).start()

    behind = WriteBehind(submit)
    behind.add(step)
    assert begun.wait(10)
    settling = threading.Thread(target=behind.settle, daemon=True)
    settling.start()
    settling.join(0.05)
    assert settling.is_alive()
    may_end.set()
    settling.join(10)
    assert (False, ["step"]) == (settling.is_alive(), done)


def test_an_error_is_logged_and_nobody_s_else(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever settles did not ask for the step."""
    never: list[Callable[[], None]] = []
    behind = WriteBehind(never.append)

    def fails() -> None:
        raise RuntimeError

    behind.add(fails)
    behind.settle()
    assert "Work in the background failed." in caplog.text
    assert [] == caplog.records[1:]


def test_a_fork_leaves_the_steps_to_the_parent() -> None:
    """Else both would do them."""
    done: list[str] = []
    never: list[Callable[[], None]] = []
    behind = WriteBehind(never.append)
    behind.add(lambda: done.append("step"))
    behind.forget()
    behind.settle()
    assert [] == done
