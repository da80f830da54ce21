"""The one place that asks models, through pydantic-ai."""

import asyncio
import threading
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import InstructionPart, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from cognition.adapters.providers.clients import Client, host_of, key_of, local_model_of, model_of, open_client
from cognition.adapters.providers.local_model import LocalEndpoint, LocalModel
from cognition.adapters.providers.provider_errors import FAILURES, ProviderWords, translate
from cognition.domain.completion import CompletionRequest, Credentials
from cognition.errors import ConfigurationError

_LOCAL = "local"

# The address is in it although the credentials may not hold it: an SDK takes it from the environment, which can change.
_Key = tuple[str, Credentials | LocalEndpoint, str | None]


@dataclass(slots=True)
class _OnLoop:
    """Everything that belongs to one event loop: HTTP connections cannot move to another one."""

    loop: asyncio.AbstractEventLoop
    models: dict[_Key, asyncio.Task[Model]] = field(default_factory=dict[_Key, asyncio.Task[Model]])
    clients: dict[_Key, Client] = field(default_factory=dict[_Key, Client])
    local_models: dict[str, LocalModel] = field(default_factory=dict[str, LocalModel])
    lock: threading.Lock = field(default_factory=threading.Lock)


class ModelProvider:
    """Asks any model that pydantic-ai knows, and local ones; one HTTP client a provider, address and key."""

    def __init__(self) -> None:
        """Connect to nothing yet."""
        self._on_loop: _OnLoop | None = None

    async def prepare(self, request: CompletionRequest) -> None:
        """Import the provider's SDK, open its client, start the local server; a later `ask` finds them.

        Raises:
            ConfigurationError: The model, key or address cannot be right.
        """
        await self._model(request)

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Return the model's answer; one request, no retries.

        Raises:
            ProviderError: Whatever went wrong, translated.
            ConfigurationError: The model, key or address cannot be right.
        """
        model = await self._model(request)
        settings: dict[str, Any] = dict(request.settings or {})
        if "max_retries" not in model.unsupported_settings:
            settings["max_retries"] = 0  # the engine retries; the SDKs' own retries would multiply with it
        try:
            response = await model_request(
                model,
                request.messages,
                model_settings=cast(ModelSettings, settings),
                model_request_parameters=_parameters(request),
            )
            return response if _says_why_it_ends(response, model) else replace(response, finish_reason=None)
        except FAILURES as error:
            failure = translate(error, request.model, host_of(model.base_url))
            words = ProviderWords.of(error, (request.credentials.api_key, key_of(model)))
        except UserError as error:
            raise ConfigurationError(f"{request.model} cannot be asked this way: {error.message}") from error
        except UnicodeEncodeError as error:
            message = (
                "The prompt or a header holds half a character (a lone surrogate) or one no header may hold; remove it."
            )
            raise ConfigurationError(message) from error
        # Not where it was caught: the original would hang on to it as its context.
        raise failure from words

    async def close(self) -> None:
        """Close connections and local models."""
        here, self._on_loop = self._on_loop, None
        if here is None:
            return
        made = [task.result() for task in here.models.values() if _succeeded(task)]
        for model in {id(model.provider): model for model in made}.values():
            async with model:  # leaving its context is pydantic-ai's way to close a client
                pass
        for local in here.local_models.values():
            # Not in a thread: at the interpreter's exit there are no new ones, and nothing else runs on this loop.
            local.close()

    async def _model(self, request: CompletionRequest) -> Model:
        """Return the model, made once; in a thread, because importing an SDK takes up to a second."""
        here = self._here()
        key: _Key = (request.model, request.credentials, request.endpoint)
        if request.provider == _LOCAL:
            key = (request.model, await self._local_endpoint(here, request.model), None)
        task = here.models.get(key)
        if task is None:
            task = here.models[key] = asyncio.create_task(asyncio.to_thread(_make, here, *key))
            task.add_done_callback(lambda made: _forget_failed(here, key, made))
        # A caller that gives up must not take it from the others.
        return task.result() if task.done() else await asyncio.shield(task)

    async def _local_endpoint(self, here: _OnLoop, model: str) -> LocalEndpoint:
        name = model.partition(":")[2]
        if name not in here.local_models:
            here.local_models[name] = LocalModel(name)
        return await asyncio.to_thread(here.local_models[name].open)

    def _here(self) -> _OnLoop:
        """Return what belongs to the running loop; after a fork it is a new one, and the old one's is left behind."""
        loop = asyncio.get_running_loop()
        if self._on_loop is None or self._on_loop.loop is not loop:
            self._on_loop = _OnLoop(loop)
        return self._on_loop


def _make(here: _OnLoop, name: str, access: Credentials | LocalEndpoint, address: str | None) -> Model:
    if isinstance(access, LocalEndpoint):
        return local_model_of(name, access)
    provider = name.partition(":")[0]
    with here.lock:
        client = here.clients.get((provider, access, address))
        if client is None:
            client = here.clients[provider, access, address] = open_client(provider, access)
    return model_of(name, client)


def _forget_failed(here: _OnLoop, key: _Key, made: asyncio.Task[Model]) -> None:
    """Let the next call try again, when the user has installed or set what was missing."""
    if not _succeeded(made):
        del here.models[key]


def _succeeded(made: asyncio.Task[Model]) -> bool:
    return made.done() and not made.cancelled() and made.exception() is None


def _says_why_it_ends(response: ModelResponse, model: Model) -> bool:
    """Whether the provider gave the reason to end itself; for one that is missing pydantic-ai puts "stop" at OpenAI.

    The class is known by its name, because importing the class would import the OpenAI SDK for those who use another.
    """
    if response.finish_reason != "stop" or all(kind.__name__ != "OpenAIChatModel" for kind in type(model).__mro__):
        return True
    return "finish_reason" in (response.provider_details or {})


def _parameters(request: CompletionRequest) -> ModelRequestParameters:
    """Return what is asked for besides the messages; instructions become the system prompt."""
    parameters = request.request_parameters
    if request.instructions is None:
        return parameters
    return replace(parameters, instruction_parts=[InstructionPart(content=request.instructions)])
