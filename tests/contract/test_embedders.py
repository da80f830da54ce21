"""Every embedder keeps the contract: the local one, one behind HTTP, one made of words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from cognition.adapters.embedders import ApiAccess, ApiEmbedder, LocalEmbedder
from cognition.adapters.memory import MemoryEmbedder
from cognition.domain.completion import Credentials
from cognition.owner_loop import OwnerLoop
from cognition.testing import FakeOpenAI
from cognition.testing.contracts import EmbedderContract


@pytest.fixture(scope="module")
def local() -> Iterator[LocalEmbedder]:
    """One for all tests, for it takes a moment to load."""
    opened = LocalEmbedder("all-minilm-l6-v2")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def api() -> Iterator[ApiEmbedder]:
    """One for all tests, with a loop and a server of its own."""
    loop = OwnerLoop(workers=1)
    with FakeOpenAI() as server:
        access = ApiAccess(credentials=Credentials(api_key="any", base_url=server.base_url))
        opened = ApiEmbedder("openai:words", loop.call, access)
        yield opened
        opened.close()
    loop.close(asyncio.sleep(0))


class TestMemoryEmbedder(EmbedderContract):
    """Hashed words."""

    @pytest.fixture
    def embedder(self) -> MemoryEmbedder:
        """Return a new one."""
        return MemoryEmbedder()


class TestLocalEmbedder(EmbedderContract):
    """A model in this process."""

    @pytest.fixture
    def embedder(self, local: LocalEmbedder) -> LocalEmbedder:
        """Return the one."""
        return local


class TestApiEmbedder(EmbedderContract):
    """A provider that speaks OpenAI's API, over HTTP."""

    @pytest.fixture
    def embedder(self, api: ApiEmbedder) -> ApiEmbedder:
        """Return the one."""
        return api
