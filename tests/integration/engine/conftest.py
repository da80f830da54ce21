"""A stage for each test of the engine: on the session's servers, or on servers that the test may kill."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from cognition.adapters.embedded import stop
from cognition.testing import FakeOpenAI, Reply, Usage
from cognition.testing.clock import FakeClock
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import API_KEY, Stage


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeOpenAI]:
    """Return a provider that knows one key and always says the same; the SDK's own variables are out of the way."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    answer = Reply(text="It stops calls to a service that is down.", usage=Usage(1000, 100))
    with FakeOpenAI(default=answer, api_key=API_KEY) as fake:
        yield fake


@pytest.fixture
def stage(database_url: str, redis_url: str, provider: FakeOpenAI, clock: FakeClock) -> Generator[Stage]:
    """Return a stage on the session's servers, which must survive the test."""
    made = Stage(database_url, redis_url, provider, clock)
    yield made
    made.close()


@pytest.fixture(scope="session")
def killable_servers() -> Generator[Servers]:
    """Return servers of our own, in a home with a short path, as sockets need it."""
    home = Path(tempfile.mkdtemp(prefix="cg-", dir="/tmp"))
    home.chmod(0o711)
    servers = Servers(home)
    yield servers
    # Nothing of theirs is kept, so nobody needs to wait until they have tidied up.
    servers.start()
    servers.kill_postgres()
    stop(home)
    shutil.rmtree(home)


@pytest.fixture
def own_servers(killable_servers: Servers) -> Generator[Servers]:
    """Return servers of our own, which run and hold nothing."""
    killable_servers.start()
    yield killable_servers
    killable_servers.resume()


@pytest.fixture
def own_stage(own_servers: Servers, provider: FakeOpenAI, clock: FakeClock) -> Generator[Stage]:
    """Return a stage on servers that the test may kill."""
    made = Stage(own_servers.fresh_database(), own_servers.redis_url, provider, clock)
    yield made
    made.close()
