"""The command line as a person runs it: its exit code, and what it prints."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from unittest.mock import patch

from cognition.cli import main

_COMMAND = [sys.executable, "-c", "from cognition.cli import main; main()"]

# Keys of the developer must not reach a provider; tables are as wide as they need to be.
_NOT_INHERITED = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL")
_WIDE = {"COLUMNS": "300"}


def run(environment: Mapping[str, str], *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `cognition` with some arguments in this process, which takes a tenth of the time of a new one.

    Args:
        environment: Variables besides those of this process.
        *arguments: What stands behind `cognition`.
        code: The expected exit code; the test fails on another one.
    """
    out, err, ended = io.StringIO(), io.StringIO(), 0
    environ, argv = patch.dict(os.environ, _environment(environment), clear=True), ["cognition", *arguments]
    with environ, patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ending:
            ended = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    return _checked(subprocess.CompletedProcess(argv, ended, out.getvalue(), err.getvalue()), code)


def run_process(environment: Mapping[str, str], *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `cognition` with some arguments in a process of its own.

    Args:
        environment: Variables besides those of this process.
        *arguments: What stands behind `cognition`.
        code: The expected exit code; the test fails on another one.
    """
    command = [*_COMMAND, *arguments]
    done = subprocess.run(command, env=_environment(environment), capture_output=True, text=True, check=False)
    return _checked(done, code)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return {**inherited, **_WIDE, **given}


def _checked(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    assert code == done.returncode, f"{done.stdout}\n{done.stderr}"
    return done


def refusal(environment: Mapping[str, str], *arguments: str, secret: str = "", alone: bool = False) -> str:
    """Run `cognition` where it must fail with exit code 1, and return the one sentence that it says.

    Args:
        environment: Variables besides those of this process.
        *arguments: What stands behind `cognition`.
        secret: What must not be printed, if anything.
        alone: Whether it runs in a process of its own, as commands must that leave an engine open until their end.
    """
    done = (run_process if alone else run)(environment, *arguments, code=1)
    assert "" == done.stdout
    assert 1 == len(done.stderr.splitlines()), done.stderr
    line = done.stderr.strip()
    assert line.startswith("Error: ")
    assert line.endswith(".")
    assert not secret or secret not in line
    return line.removeprefix("Error: ")


@contextmanager
def exporter_process(environment: Mapping[str, str]) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Run `cognition exporter` in a process of its own; yield it and the address of its metrics.

    Args:
        environment: Variables besides those of this process.
    """
    command = [*_COMMAND, "exporter", "--port", "0"]
    with subprocess.Popen(command, env=_environment(environment), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("Metrics are at "), said
            yield process, said.split()[3]
        finally:
            process.kill()
