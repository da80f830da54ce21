"""Which models a call may be asked of, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from cognition.domain.breaker import BreakerKey
from cognition.domain.completion import CompletionRequest, Credentials
from cognition.errors import ConfigurationError

_ENVIRONMENT = Credentials()


@dataclass(frozen=True, slots=True)
class Fallback:
    """A model that is asked when the ones before it do not answer.

    Attributes:
        model: `provider:model` as pydantic-ai names them.
        credentials: How to reach it; None takes those of the call if the provider is the same, else the environment's.
    """

    model: str
    credentials: Credentials | None = None

    def __post_init__(self) -> None:
        """Refuse a name without its provider.

        Raises:
            ConfigurationError: The sentence says how to write it.
        """
        provider, _, name = self.model.partition(":")
        if not (provider and name):
            raise ConfigurationError(
                f"The fallback {self.model!r} names no provider; write 'provider:model', such as 'openai:gpt-5-mini'."
            )


@dataclass(frozen=True, slots=True)
class Route:
    """A fallback, and where its provider is.

    Attributes:
        fallback: The model.
        address: Where its provider is when the credentials do not say; None when its name says it all.
    """

    fallback: Fallback
    address: str | None = None


@dataclass(frozen=True)
class Target:
    """One model of a call's chain; what asking it needs is made when it is its turn, which fallbacks seldom have.

    Attributes:
        call: The call, as it is asked of the first model.
        model: The model, `provider:model`.
        credentials: How to reach it.
        endpoint: Which server answers, where the model's name does not say it all.
        shared_service: Name of the service whose places it takes, None for one of its own.
    """

    call: CompletionRequest
    model: str
    credentials: Credentials
    endpoint: str | None
    shared_service: str | None = None

    @cached_property
    def request(self) -> CompletionRequest:
        """The call as this model is asked."""
        if (self.model, self.credentials, self.endpoint) == (
            self.call.model,
            self.call.credentials,
            self.call.endpoint,
        ):
            return self.call
        return replace(self.call, model=self.model, credentials=self.credentials, endpoint=self.endpoint)

    @cached_property
    def breaker(self) -> BreakerKey:
        """Which circuit breaker guards it."""
        return BreakerKey.of(self.request)

    @property
    def provider(self) -> str:
        """Name of its provider."""
        return self.model.partition(":")[0]

    @property
    def service(self) -> str:
        """Whose places it takes."""
        return self.shared_service or self.model


def fallbacks_of(given: Iterable[Fallback | str]) -> tuple[Fallback, ...]:
    """Return fallbacks of which some may be given by the name of their model alone."""
    return tuple(Fallback(one) if isinstance(one, str) else one for one in given)


def chain_of(request: CompletionRequest, routes: Sequence[Route], service: str | None) -> tuple[Target, ...]:
    """Return the models that a call may be asked of, in order.

    Args:
        request: The call, as it is asked of the first model.
        routes: The models after it.
        service: Name under which all of them share their places, or None for one service a model.
    """
    targets = [Target(request, request.model, request.credentials, request.endpoint, service)]
    for route in routes:
        fallback, same = route.fallback, route.fallback.model.partition(":")[0] == request.provider
        credentials = fallback.credentials or (request.credentials if same else _ENVIRONMENT)
        target = Target(request, fallback.model, credentials, credentials.base_url or route.address, service)
        # A model that stands there twice would be asked in vain twice.
        if target not in targets:
            targets.append(target)
    return tuple(targets)
