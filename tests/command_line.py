"""The command line as a person runs it: a process of its own, its exit code, what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

_COMMAND = [sys.executable, "-c", "from cognition.cli import main; main()"]

# Keys of the developer must not reach a provider; tables are as wide as they need to be.
_NOT_INHERITED = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL")
_WIDE = {"COLUMNS": "300"}


def run(environment: Mapping[str, str], *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `cognition` with some arguments; fail unless it ends with the exit code.

    Args:
        environment: Variables besides those of this process.
        *arguments: What stands behind `cognition`.
        code: The expected exit code.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    command = [*_COMMAND, *arguments]
    done = subprocess.run(
        command, env={**inherited, **_WIDE, **environment}, capture_output=True, text=True, check=False
    )
    assert code == done.returncode, f"{done.stdout}\n{done.stderr}"
    return done


def refusal(environment: Mapping[str, str], *arguments: str, secret: str = "") -> str:
    """Run `cognition` where it must fail with exit code 1, and return the one sentence that it says.

    Args:
        environment: Variables besides those of this process.
        *arguments: What stands behind `cognition`.
        secret: What must not be printed, if anything.
    """
    done = run(environment, *arguments, code=1)
    assert "" == done.stdout
    assert 1 == len(done.stderr.splitlines()), done.stderr
    line = done.stderr.strip()
    assert line.startswith("Error: ")
    assert line.endswith(".")
    assert not secret or secret not in line
    return line.removeprefix("Error: ")
