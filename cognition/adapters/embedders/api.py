"""Sentence embeddings from a provider's API, through pydantic-ai."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from pydantic_ai.exceptions import ModelAuthenticationError, ModelNotFoundError, UserError

from cognition.adapters.providers.clients import Client, host_of, open_client
from cognition.adapters.providers.provider_errors import FAILURES, ProviderWords, translate
from cognition.domain.completion import Credentials
from cognition.domain.semantic import EmbedderIdentity, Vectors
from cognition.errors import CacheUnavailable, CognitionError, ConfigurationError

if TYPE_CHECKING:
    from pydantic_ai.embeddings import EmbeddingModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Published:
    """What a provider's list of models says of one: length of its vectors, tokens in its window."""

    dimensions: int
    window: int


_MODELS = {
    "openai:text-embedding-3-small": _Published(1536, 8191),
    "openai:text-embedding-3-large": _Published(3072, 8191),
    "openai:text-embedding-ada-002": _Published(1536, 8191),
    "cohere:embed-v4.0": _Published(1536, 128_000),
    "cohere:embed-english-v3.0": _Published(1024, 512),
    "cohere:embed-multilingual-v3.0": _Published(1024, 512),
    "google:gemini-embedding-001": _Published(3072, 2048),
}
_UNKNOWN_WINDOW = 512  # that of BERT, the smallest on offer
_FRAME = 2  # tokens that some models put around a text
_PROBE = "How long is a vector?"


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a provider takes in one request: so many texts, so many tokens altogether."""

    texts: int
    tokens: int


# The strictest of those that pydantic-ai knows: 96 texts (Cohere), 100 texts (Google), 120,000 tokens (Voyage).
_CAREFUL = _Limits(96, 100_000)
_LIMITS = {"openai": _Limits(2048, 300_000)}  # https://platform.openai.com/docs/api-reference/embeddings/create


class Call(Protocol):
    """Runs a coroutine on the loop that HTTP connections belong to and returns its result: `OwnerLoop.call`."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """Run it; wait in this thread."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAccess:
    """How to reach a provider of embeddings.

    Attributes:
        credentials: What the environment does not say.
        endpoint: The address that the provider's SDK takes from the environment, if any: another server may hold other
            weights under the same name, so it is part of the vectors' identity.
        dimensions: Length to ask for, where the model can be asked; by default the model's own.
        timeout_seconds: How long one request may take.
    """

    credentials: Credentials = field(default_factory=Credentials)
    endpoint: str | None = None
    dimensions: int | None = None
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class _Opened:
    client: Client
    model: EmbeddingModel


@dataclass(frozen=True, slots=True)
class _OnLoop:
    """What belongs to one event loop; after a fork it is the parent's."""

    loop: asyncio.AbstractEventLoop
    opening: asyncio.Task[_Opened]


class ApiEmbedder:
    """An `Embedder` that asks a provider: one request a batch, no retries, for a failure only means a miss."""

    def __init__(self, name: str, call: Call, access: ApiAccess) -> None:
        """Connect to nothing yet.

        Args:
            name: `provider:model`, such as `openai:text-embedding-3-small`.
            call: Runs coroutines where HTTP connections live.
            access: How to reach the provider.
        """
        self._name = name
        self._call = call
        self._access = access
        published = _MODELS.get(name)
        self._dimensions = access.dimensions or (published.dimensions if published else None)
        self._window = published.window if published else _UNKNOWN_WINDOW
        self._here: _OnLoop | None = None
        self._left_behind: list[_OnLoop | None] = []

    @property
    def identity(self) -> EmbedderIdentity:
        """Name, digest of the address that was set, and dimensions; asks the provider once where they are unknown.

        Raises:
            CacheUnavailable: It had to be asked and did not answer.
            ConfigurationError: As for `embed`.
        """
        if self._dimensions is None:
            self._dimensions = len(self._call(self._ask([[_PROBE]]))[0])
        address = self._access.credentials.base_url or self._access.endpoint
        revision = hashlib.sha256(address.encode()).hexdigest() if address else ""
        return EmbedderIdentity(name=self._name, revision=revision, dimensions=self._dimensions)

    @property
    def is_local(self) -> bool:
        """A provider computes."""
        return False

    def fits(self, text: str) -> bool:
        """Whether a text certainly lies within the model's window.

        Counted in bytes, because no tokenizer makes more tokens than that: the true ones are the provider's, or would
        have to be downloaded. English text so uses about a quarter of the window.
        """
        # Providers refuse an empty text.
        return bool(text.strip()) and _size(text) + _FRAME <= self._window

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, scaled to unit length.

        Raises:
            CacheUnavailable: The provider did not answer, or with something that is no answer.
            ConfigurationError: The provider, model, key or address cannot be right, or the vectors are of another
                length than those of this identity.
        """
        limits = _LIMITS.get(self._name.partition(":")[0], _CAREFUL)
        whole = [text.encode("utf-8", "replace").decode() for text in texts]
        expected = self.identity.dimensions
        if not whole:
            return np.empty((0, expected), np.float32)
        vectors = np.array(self._call(self._ask(list(_batches(whole, limits)))), np.float32)
        if vectors.shape[1] != expected:
            raise ConfigurationError(
                f"{self._name} answers vectors of {vectors.shape[1]} dimensions instead of {expected}; another model"
                f" answers under its name, or it cannot be asked for a length."
            )
        return vectors

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        here, self._here = self._here, None
        if here is not None:
            self._call(_close(here))

    async def _ask(self, batches: Sequence[Sequence[str]]) -> list[list[float]]:
        opened = await self._opened()
        vectors: list[list[float]] = []
        try:
            for batch in batches:
                async with asyncio.timeout(self._access.timeout_seconds):
                    vectors += await self._ask_once(opened.model, batch)
        except TimeoutError as error:
            message = f"{self._name} gave no answer within {self._access.timeout_seconds:g} s; try later."
            raise CacheUnavailable(message, store=self._name) from error
        except UserError as error:
            raise ConfigurationError(f"{self._name} cannot be asked this way: {error.message}") from error
        except (*FAILURES, ValueError) as error:
            failure = self._failure(error, opened.model)
            words = ProviderWords.of(error, (self._access.credentials.api_key, _key_of(opened.client)))
        else:
            return vectors
        # Not where it was caught: the original would hang on to it as its context, key and all.
        raise failure from words

    async def _ask_once(self, model: EmbeddingModel, batch: Sequence[str]) -> list[list[float]]:
        """Return the vectors of one request, in order.

        Raises:
            ValueError: They are not one a text, or one of them has no direction.
        """
        length = self._access.dimensions
        # Both sides of a comparison are questions.
        result = await model.embed(batch, input_type="query", settings={"dimensions": length} if length else None)
        vectors = [_unit(vector) for vector in result.embeddings]
        if len(vectors) != len(batch) or len(set(map(len, vectors))) != 1:
            raise ValueError("The vectors are not one a text, all of one length.")
        return vectors

    def _failure(self, error: Exception, model: EmbeddingModel) -> CognitionError:
        sentence = translate(error, self._name, host_of(model.base_url)).message
        if isinstance(error, (ModelAuthenticationError, ModelNotFoundError)):
            return ConfigurationError(sentence)
        return CacheUnavailable(sentence, store=self._name)

    async def _opened(self) -> _Opened:
        """Return the model, opened once a loop; in a thread, because importing an SDK takes up to a second."""
        loop = asyncio.get_running_loop()
        here = self._here
        if here is None or here.loop is not loop or _failed(here.opening):
            # Kept, for what belongs to another loop cannot be closed on this one.
            self._left_behind.append(here)
            opening = asyncio.create_task(asyncio.to_thread(_open, self._name, self._access.credentials))
            here = self._here = _OnLoop(loop, opening)
        return await asyncio.shield(here.opening)  # a caller that gives up must not take it from the others


def _open(name: str, credentials: Credentials) -> _Opened:
    # Heavy, like the SDKs themselves, and not everybody compares meanings.
    from pydantic_ai.embeddings import infer_embedding_model  # noqa: PLC0415

    client = open_client(name.partition(":")[0], credentials)
    sdk: Any = client.client
    if hasattr(sdk, "max_retries"):
        sdk.max_retries = 0
    try:
        model = infer_embedding_model(name, provider_factory=lambda _: client)
    except UserError as error:
        message = f"The provider of {name!r} has no embeddings; write one such as 'openai:text-embedding-3-small'."
        raise ConfigurationError(message) from error
    return _Opened(client, model)


async def _close(here: _OnLoop) -> None:
    if here.loop is asyncio.get_running_loop() and not _failed(here.opening):
        async with (await here.opening).client:  # leaving its context is pydantic-ai's way to close a client
            pass


def _failed(opening: asyncio.Task[_Opened]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)


def _key_of(client: Client) -> str | None:
    return getattr(client.client, "api_key", None)


def _batches(texts: Sequence[str], limits: _Limits) -> Iterator[list[str]]:
    batch: list[str] = []
    tokens = 0
    for text in texts:
        size = _size(text)
        if batch and (len(batch) == limits.texts or tokens + size > limits.tokens):
            yield batch
            batch, tokens = [], 0
        batch.append(text)
        tokens += size
    yield batch


def _size(text: str) -> int:
    """Return how many tokens a text has at most: one a byte."""
    return len(text.encode("utf-8", "replace"))


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    if not 0 < length < math.inf:
        raise ValueError("A vector has no direction.")
    return [value / length for value in vector]
