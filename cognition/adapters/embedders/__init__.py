"""Models that turn texts into vectors."""

from cognition.adapters.embedders.api import ApiAccess, ApiEmbedder, Call
from cognition.adapters.embedders.local import LocalEmbedder
from cognition.errors import ConfigurationError
from cognition.ports import Embedder

__all__ = ["ApiAccess", "ApiEmbedder", "LocalEmbedder", "open_embedder"]

_DEFAULT_ACCESS = ApiAccess()


def open_embedder(name: str | None, call: Call, access: ApiAccess = _DEFAULT_ACCESS) -> Embedder | None:
    """Return the embedder of a name, without loading or asking it; None for None.

    Args:
        name: `local:all-minilm-l6-v2`, or `provider:model` as pydantic-ai names them.
        call: Runs coroutines on the loop that HTTP connections belong to, such as `OwnerLoop.call`.
        access: How to reach a provider; a local model needs none.

    Raises:
        ConfigurationError: The name is none, the local model is unknown, or a wheel is missing.
    """
    if name is None:
        return None
    provider, _, model = name.partition(":")
    if not (provider and model):
        raise ConfigurationError(
            f"The embedder {name!r} names no provider; write 'provider:model', such as 'local:all-minilm-l6-v2'."
        )
    return LocalEmbedder(model) if provider == "local" else ApiEmbedder(name, call, access)
