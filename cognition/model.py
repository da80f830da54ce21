"""The engine as a pydantic-ai model, so that any Agent is cached, resilient and accounted for."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, parse_model_id
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers import infer_provider_class
from pydantic_ai.settings import ModelSettings
from typing_extensions import override

from cognition.domain.completion import Completion
from cognition.errors import ConfigurationError


class Ask(Protocol):
    """`Cognition.acomplete`, or another function that takes the same arguments."""

    async def __call__(
        self, prompt: list[ModelMessage], /, *, model: str, settings: ModelSettings, parameters: ModelRequestParameters
    ) -> Completion[Any]:
        """Answer a prompt."""
        ...


class CompletionModel(Model):
    """A model that answers each request of an Agent through the engine; it does not stream."""

    def __init__(self, ask: Ask, model: str | None) -> None:
        """Answer by a function.

        Args:
            ask: `Cognition.acomplete`, or what adds credentials and attribution to it.
            model: `provider:model`; its profile tells the Agent what the provider can do.

        Raises:
            ConfigurationError: The model is None or names no provider.
        """
        provider, name = parse_model_id(model or "")
        if model is None or provider is None:
            raise ConfigurationError("No model is named; write it as 'provider:model', such as 'openai:gpt-5-mini'.")
        super().__init__(profile=_profile_of(provider, name))
        self._ask = ask
        self._model = model
        self._provider_name = provider
        self._name = name

    @property
    @override
    def model_name(self) -> str:
        """Name of the model without its provider."""
        return self._name

    @property
    @override
    def system(self) -> str:
        """Name of the provider."""
        return self._provider_name

    @override
    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the answer to a conversation, from the cache when it may."""
        settings = model_settings or ModelSettings()
        completion = await self._ask(
            messages, model=self._model, settings=settings, parameters=model_request_parameters
        )
        return completion.response


def _profile_of(provider: str, name: str) -> ModelProfile | None:
    try:
        return infer_provider_class(provider).model_profile(name)
    except (ValueError, ImportError):
        # `local:` is ours, and an SDK that is not installed is reported by the first call.
        return None
