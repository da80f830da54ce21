"""What the engine's integration tests share: empty stores, a fake provider, and engines and programs that use them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import redis
from pydantic import SecretStr
from sqlalchemy import NullPool, create_engine, text

from cognition import Cognition, Completion, Credentials, ResiliencePolicy, Settings
from cognition.domain.ledger import LayerStats
from cognition.ports import Clock
from cognition.testing import FakeOpenAI
from cognition.testing.clock import FakeClock

API_KEY = "sk-engine-4e1c9a7fd230"
MODEL = "openai-chat:gpt-5-mini"
QUESTION = "What is a circuit breaker?"

# Tests wait for retries, so these are short.
QUICK = ResiliencePolicy(initial_backoff=timedelta(milliseconds=1), attempt_timeout=timedelta(seconds=20))

_PATIENCE_SECONDS = 20.0
_PROGRAM_SECONDS = 60.0


@dataclass(frozen=True)
class Stage:
    """Stores of one test and the provider that answers.

    Attributes:
        database_url: PostgreSQL at the newest revision.
        redis_url: Redis.
        provider: Accepts `API_KEY` only.
        clock: Stands still until the test advances it.
        opened: The engines to close after the test.
        started: The programs to end after the test.
    """

    database_url: str
    redis_url: str
    provider: FakeOpenAI
    clock: FakeClock
    opened: list[Cognition] = field(default_factory=list[Cognition])
    started: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    def close(self) -> None:
        """End what the test left: its programs with their children, and its engines."""
        for program in self.started:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
        for engine in self.opened:
            engine.close()

    def open(self, *, clock: Clock | None = None, **settings: Any) -> Cognition:
        """Return an engine on the stores, as another process would open it; by default with the test's own clock."""
        fields: dict[str, Any] = {
            "database_url": SecretStr(self.database_url),
            "redis_url": SecretStr(self.redis_url),
            "model": MODEL,
            "resilience": QUICK,
        }
        engine = Cognition.open(Settings(**(fields | settings)), clock=clock or self.clock)
        self.opened.append(engine)
        return engine

    @property
    def credentials(self) -> Credentials:
        """How the fake provider is reached."""
        return Credentials(api_key=API_KEY, base_url=self.provider.base_url)

    def ask(self, engine: Cognition, prompt: Any = QUESTION, **options: Any) -> Completion[Any]:
        """Ask the fake provider's model through an engine."""
        options.setdefault("credentials", self.credentials)
        return engine.complete(prompt, **options)

    def layers(self, engine: Cognition, times: int = 1, prompt: Any = QUESTION, **options: Any) -> list[str]:
        """Ask several times; return where each answer came from."""
        return [str(self.ask(engine, prompt, **options).layer) for _ in range(times)]

    def redis(self) -> Any:
        """Return a client of the Redis, which is hardly typed."""
        return redis.Redis.from_url(self.redis_url)  # pyright: ignore[reportUnknownMemberType]

    def flush_redis(self) -> None:
        """Empty the Redis."""
        with self.redis() as client:
            client.flushall()

    def redis_contents(self) -> dict[bytes, bytes]:
        """Return everything Redis holds."""
        with self.redis() as client:
            return {key: client.dump(key) or b"" for key in client.scan_iter()}

    def entries_in_redis(self) -> list[bytes]:
        """Return the names of the entries in Redis."""
        return [key for key in self.redis_contents() if b":e:" in key]

    def sql(self, statement: str, **parameters: Any) -> list[Any]:
        """Run a statement in a transaction of its own; return its rows."""
        engine = create_engine(self.database_url, poolclass=NullPool)
        with engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result.mappings().all()) if result.returns_rows else []

    def ledger(self, columns: str = "*") -> list[Any]:
        """Return the ledger's rows, oldest first."""
        return self.sql(f"SELECT {columns} FROM llm_cost_tracking ORDER BY created_at, attempt")  # noqa: S608  our own

    def environment(self, **more: str) -> Mapping[str, str]:
        """Return the environment of a program that uses the stores and the provider."""
        return {
            **os.environ,
            "COGNITION_DATABASE_URL": self.database_url,
            "COGNITION_REDIS_URL": self.redis_url,
            "COGNITION_MODEL": MODEL,
            "OPENAI_API_KEY": API_KEY,
            "OPENAI_BASE_URL": self.provider.base_url,
            **more,
        }

    def start(self, program: str, **environment: str) -> subprocess.Popen[str]:
        """Start a Python program that uses the stores and the provider."""
        started = subprocess.Popen(
            [sys.executable, "-c", program],
            env=self.environment(**environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(started)
        return started

    def run(self, program: str, **environment: str) -> Ended:
        """Run a Python program to its end."""
        started = self.start(program, **environment)
        output, errors = started.communicate(timeout=_PROGRAM_SECONDS)
        return Ended(started.returncode, output, errors)


@dataclass(frozen=True)
class Ended:
    """A program that came to its end."""

    code: int
    output: str
    errors: str


def stats_of(engine: Cognition) -> dict[str, LayerStats]:
    """Return an engine's counts by layer."""
    return {str(one.layer): one for one in engine.cache.stats()}


def wait_until(condition: Callable[[], object], seconds: float = _PATIENCE_SECONDS) -> None:
    """Return as soon as a condition holds.

    Raises:
        TimeoutError: It does not within some seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Still not true after {seconds} s.")
        time.sleep(0.02)
