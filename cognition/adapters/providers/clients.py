"""pydantic-ai's clients for the named providers, made from our credentials."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from cognition.adapters.providers.local_model import LocalEndpoint
from cognition.domain.completion import Credentials
from cognition.errors import ConfigurationError

Client = Provider[Any]

_VARIABLE = re.compile(r"`([A-Z][A-Z0-9_]{3,})`")
_KEY = re.compile(r"[!-~]+")
_EXTRA = re.compile(r"pydantic-ai-slim\[([\w-]+)\]")


def open_client(provider: str, credentials: Credentials) -> Client:
    """Return a client that holds its own HTTP connections; imports the provider's SDK, which takes up to a second.

    Args:
        provider: pydantic-ai's name of it, such as `openai-chat`.
        credentials: What the environment does not say.

    Raises:
        ConfigurationError: The provider is unknown, its SDK or key is missing, or the address is none.
    """
    given = {"api_key": credentials.api_key, "base_url": credentials.base_url}
    given = {name: value for name, value in given.items() if value is not None}
    _check(credentials)
    try:
        if not given:
            return infer_provider(provider)
        return _kind_that_takes(given, provider)(**given)
    except ValueError as error:
        message = (
            f"There is no provider {provider!r}; write the model as 'provider:model', such as 'openai:gpt-5-mini'."
        )
        raise ConfigurationError(message) from error
    except UserError as error:
        raise _not_configured(provider, error) from error
    except ImportError as error:
        extra = _EXTRA.search(str(error))
        name = extra.group(1) if extra else provider
        message = f"The provider {provider!r} needs its own library; run: pip install 'pydantic-ai-slim[{name}]'"
        raise ConfigurationError(message) from error
    except ConfigurationError:
        raise
    except Exception as error:
        # Every SDK has errors of its own, such as that of OpenAI for a variable that is set but empty.
        raise _not_configured(provider, error) from error


def _kind_that_takes(given: Mapping[str, str], provider: str) -> Callable[..., Client]:
    kind = infer_provider_class(provider)
    unknown = given.keys() - inspect.signature(kind).parameters.keys()
    if unknown:
        names = " and no ".join(sorted(unknown))
        raise ConfigurationError(f"The provider {provider!r} takes no {names}; set its own environment variables.")
    return kind


def model_of(name: str, client: Client) -> Model:
    """Return the model of a name, `provider:model`, that asks through a client.

    Raises:
        ConfigurationError: The provider has no such kind of model.
    """
    try:
        return infer_model(name, lambda _: client)
    except UserError as error:
        raise ConfigurationError(f"The model {name!r} is unknown; check its name in the provider's list.") from error


def local_model_of(name: str, endpoint: LocalEndpoint) -> Model:
    """Return a model that asks a local server; it has no tools but follows every JSON schema, token by token."""
    # Heavy: the OpenAI SDK takes half a second to import, and not everybody has a local model.
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    profile = OpenAIModelProfile(
        supports_tools=False,
        supports_json_schema_output=True,
        supports_json_object_output=True,
        default_structured_output_mode="native",
        openai_supports_strict_tool_definition=False,
    )
    client = OpenAIProvider(base_url=endpoint.base_url, api_key=endpoint.api_key)
    return OpenAIChatModel(name, provider=client, profile=profile)


def host_of(base_url: str | None) -> str:
    """Return host and port of a provider, for sentences; its whole address may hold a password."""
    return urlsplit(base_url or "").netloc.rpartition("@")[2] or "its provider"


def key_of(model: Model) -> str | None:
    """Return the key that a model's client really uses, which the environment may have given it."""
    return getattr(getattr(model, "client", None), "api_key", None)


def _check(credentials: Credentials) -> None:
    key, base_url = credentials.api_key, credentials.base_url
    if key is not None and not _KEY.fullmatch(key):
        raise ConfigurationError(
            "The api_key is empty or holds spaces, line ends or accents; check where it is read from."
        )
    if base_url is not None and not _is_address(base_url):
        raise ConfigurationError("The base_url is no address; write it like 'http://localhost:8000/v1'.")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _not_configured(provider: str, error: Exception) -> ConfigurationError:
    """Return the complaint of pydantic-ai or an SDK in our words: which variables are missing."""
    missing = list(dict.fromkeys(_VARIABLE.findall(str(error))))
    if not missing:
        # Only pydantic-ai's own text is known to hold no secret.
        reason = str(error) if isinstance(error, UserError) else type(error).__name__
        return ConfigurationError(f"The provider {provider!r} is not configured: {reason}")
    variables = " or ".join(missing)
    return ConfigurationError(f"The provider {provider!r} is not configured; set {variables}, or pass credentials.")
