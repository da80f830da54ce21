"""Embeddings are asked for through the real SDK, against a server that speaks its format."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator

import numpy as np
import pytest

from cognition.adapters.embedders import ApiAccess, ApiEmbedder
from cognition.domain.completion import Credentials
from cognition.errors import CacheUnavailable, ConfigurationError
from cognition.owner_loop import OwnerLoop
from cognition.testing import CutConnection, FakeOpenAI, Fault, Hang, MalformedJson, Step

KEY = "sk-secret-0123456789"


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    """A fresh fake provider that knows one key."""
    with FakeOpenAI(api_key=KEY) as opened:
        yield opened


@pytest.fixture
def loop() -> Iterator[OwnerLoop]:
    """The loop that connections belong to."""
    opened = OwnerLoop(workers=1)
    yield opened
    opened.close(asyncio.sleep(0))


@pytest.fixture
def embedder(fake: FakeOpenAI, loop: OwnerLoop) -> Iterator[ApiEmbedder]:
    """An embedder of the fake provider, closed after the test."""
    opened = ApiEmbedder("openai:words", loop.call, _access(fake))
    yield opened
    opened.close()


def _access(fake: FakeOpenAI, key: str = KEY, dimensions: int | None = None, seconds: float = 5.0) -> ApiAccess:
    credentials = Credentials(api_key=key, base_url=fake.base_url)
    return ApiAccess(credentials=credentials, dimensions=dimensions, timeout_seconds=seconds)


def test_unknown_dimensions_are_asked_for_once(embedder: ApiEmbedder, fake: FakeOpenAI) -> None:
    """A model that no list tells the length of is asked for one vector."""
    assert [256, 256] == [embedder.identity.dimensions, embedder.identity.dimensions]
    assert 1 == fake.count


def test_published_dimensions_are_not_asked_for(fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """Opening an engine takes no call of a provider."""
    embedder = ApiEmbedder("openai:text-embedding-3-small", loop.call, _access(fake))

    assert 1536 == embedder.identity.dimensions
    assert 0 == fake.count


def test_wanted_dimensions_reach_the_provider(fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """Shorter vectors are cheaper to keep, and another identity."""
    embedder = ApiEmbedder("openai:text-embedding-3-small", loop.call, _access(fake, dimensions=64))

    assert (1, 64) == embedder.embed(["Hello"]).shape
    assert 64 == fake.calls[0].body["dimensions"]
    assert embedder.identity.fingerprint.endswith("/64/unit")
    embedder.close()


def test_vectors_of_another_length_are_refused(fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """They could not be compared with what is stored; the sentence names both lengths."""
    embedder = ApiEmbedder("openai:text-embedding-3-small", loop.call, _access(fake))

    with pytest.raises(ConfigurationError, match="256 dimensions instead of 1536"):
        embedder.embed(["Hello"])
    embedder.close()


def test_another_address_is_another_identity(fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """Two servers may hold two models under one name; the address itself is not shown."""
    elsewhere = ApiEmbedder("openai:words", loop.call, ApiAccess(endpoint="http://other/v1", dimensions=256))
    here = ApiEmbedder("openai:words", loop.call, _access(fake, dimensions=256))

    assert here.identity.fingerprint != elsewhere.identity.fingerprint
    assert "other" not in elsewhere.identity.fingerprint


def test_a_large_batch_is_split_to_what_a_request_may_hold(embedder: ApiEmbedder, fake: FakeOpenAI) -> None:
    """OpenAI takes 2,048 texts at once; the order is kept across requests."""
    texts = [f"text {number}" for number in range(2050)]

    vectors = embedder.embed(texts)

    sizes = [len(call.body["input"]) for call in fake.calls[1:]]
    assert [2048, 2] == sizes
    assert np.allclose(embedder.embed(texts[-3:]), vectors[-3:])


def test_long_texts_are_split_by_their_size(embedder: ApiEmbedder, fake: FakeOpenAI) -> None:
    """OpenAI takes 300,000 tokens at once, and a token has at least one byte."""
    embedder.embed(["x" * 200_000, "y" * 100_000, "z"])

    assert [2, 1] == [len(call.body["input"]) for call in fake.calls[1:]]


@pytest.mark.parametrize(
    ("text", "fits"), [("word " * 100, True), ("word " * 110, False), ("é" * 255, True), ("é" * 256, False)]
)
def test_an_unknown_window_is_the_smallest(*, embedder: ApiEmbedder, text: str, fits: bool) -> None:
    """510 bytes fit into every model's window, whatever its tokens are."""
    assert fits == embedder.fits(text)


def test_a_published_window_is_used(fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """8,191 tokens are at least as many bytes, less the frame."""
    embedder = ApiEmbedder("openai:text-embedding-3-small", loop.call, _access(fake))

    assert embedder.fits("x" * 8189)
    assert not embedder.fits("x" * 8190)


FAILURES: dict[str, Step] = {
    "failed": Fault(status=500),
    "busy": Fault(status=429, headers={"retry-after": "1"}),
    "rejected, quoting the key": Fault(status=400, message=f"What is {KEY}?"),
    "cut off": CutConnection(),
    "half an answer": MalformedJson(),
    "no answer": MalformedJson(body="{}"),
    "no vector": MalformedJson(body=json.dumps({"object": "list", "data": []})),
    "no direction": MalformedJson(body=json.dumps({"object": "list", "data": [{"embedding": [0, 0], "index": 0}]})),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_an_unavailable_cache(kind: str, embedder: ApiEmbedder, fake: FakeOpenAI) -> None:
    """It means a miss: it is not retried, it keeps its words from the caller's sight, and it survives pickle."""
    assert 256 == embedder.identity.dimensions
    fake.script(FAILURES[kind])

    with pytest.raises(CacheUnavailable) as failure:
        embedder.embed(["Hello"])

    assert "openai:words" == failure.value.store
    assert 2 == fake.count
    assert KEY not in "".join(traceback.format_exception(failure.value))
    assert failure.value.message == pickle.loads(pickle.dumps(failure.value)).message  # noqa: S301 - our own
    assert (1, 256) == embedder.embed(["Hello again"]).shape


def test_silence_ends_after_the_timeout(fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """A look-up does not wait for ever for its vector."""
    embedder = ApiEmbedder("openai:words", loop.call, _access(fake, dimensions=256, seconds=0.2))
    fake.script(Hang(seconds=30))

    with pytest.raises(CacheUnavailable, match=r"no answer within 0\.2 s"):
        embedder.embed(["Hello"])
    embedder.close()


def test_a_wrong_key_is_said_in_one_sentence(fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """Waiting would not help; the key is not repeated."""
    embedder = ApiEmbedder("openai:words", loop.call, _access(fake, key="sk-wrong-0123456789"))

    with pytest.raises(ConfigurationError, match="refused the key") as failure:
        embedder.embed(["Hello"])

    assert "sk-wrong" not in "".join(traceback.format_exception(failure.value))
    embedder.close()


def test_an_unknown_model_is_said_in_one_sentence(embedder: ApiEmbedder, fake: FakeOpenAI) -> None:
    """Waiting would not help."""
    fake.script(Fault(status=404, error_code="model_not_found"))

    with pytest.raises(ConfigurationError, match="There is no model openai:words at 127"):
        embedder.embed(["Hello"])


def test_a_key_that_is_missing_is_asked_for_and_can_be_set_later(
    fake: FakeOpenAI, loop: OwnerLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the variable; a failed opening is not remembered."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    embedder = ApiEmbedder("openai:words", loop.call, ApiAccess(dimensions=256))

    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        embedder.embed(["Hello"])

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
    assert (1, 256) == embedder.embed(["Hello"]).shape
    embedder.close()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("anthropic:claude-haiku-4-5", "has no embeddings"), ("openia:words", "There is no provider 'openia'")],
)
def test_a_provider_without_embeddings_is_refused(name: str, sentence: str, fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """The sentence says what to write instead."""
    embedder = ApiEmbedder(name, loop.call, _access(fake))

    with pytest.raises(ConfigurationError, match=sentence):
        embedder.embed(["Hello"])


def test_every_compatible_server_can_be_asked(fake: FakeOpenAI, loop: OwnerLoop) -> None:
    """Ollama and others speak OpenAI's format."""
    embedder = ApiEmbedder("ollama:nomic-embed-text", loop.call, _access(fake))

    assert (2, 256) == embedder.embed(["Hello", "Goodbye"]).shape
    embedder.close()


def test_it_opens_again_after_closing(embedder: ApiEmbedder) -> None:
    """Closing ends connections, not the embedder."""
    before = embedder.embed(["Hello"])
    embedder.close()

    assert np.array_equal(before, embedder.embed(["Hello"]))


def test_a_forked_child_gets_connections_of_its_own(fake: FakeOpenAI) -> None:
    """The loop there is a new one, and the old one's connections are the parent's."""
    program = (
        "import asyncio, os\n"
        "from cognition.adapters.embedders import ApiAccess, ApiEmbedder\n"
        "from cognition.domain.completion import Credentials\n"
        "from cognition.owner_loop import OwnerLoop\n"
        "loop = OwnerLoop(workers=1)\n"
        f"access = ApiAccess(credentials=Credentials(api_key={KEY!r}, base_url={fake.base_url!r}))\n"
        "embedder = ApiEmbedder('openai:words', loop.call, access)\n"
        "before = embedder.embed(['Hello'])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    loop.forget()\n"
        "else:\n"
        "    os.waitpid(child, 0)\n"
        "print('same' if (embedder.embed(['Hello']) == before).all() else 'another', flush=True)\n"
        "embedder.close()\n"
        "loop.close(asyncio.sleep(0))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ("same\nsame\n", "") == (done.stdout, done.stderr)
