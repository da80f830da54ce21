"""Opens models without an engine around them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import cast

from cognition.adapters.embedders import ApiAccess, open_embedder
from cognition.adapters.verifiers import open_verifier
from cognition.ports import Embedder, Verifier
from cognition.settings import address_of_provider


@contextmanager
def embedder_alone(name: str) -> Generator[Embedder]:
    """Give an embedder to a command that embeds texts and needs no store.

    Args:
        name: `local:name` or `provider:model`.

    Raises:
        ConfigurationError: The name is none, or a package is missing.
    """
    access = ApiAccess(endpoint=address_of_provider(name.partition(":")[0]))
    with asyncio.Runner() as runner:
        opened = cast("Embedder", open_embedder(name, runner.run, access))  # None stands for no name
        with closing(opened):
            yield opened


@contextmanager
def verifier_alone(name: str) -> Generator[Verifier]:
    """Give a verifier to a command that needs no store.

    Args:
        name: `onnx:folder`.

    Raises:
        ConfigurationError: The name is none, or a file is missing.
    """
    opened = cast("Verifier", open_verifier(name))  # None stands for no name
    with closing(opened):
        yield opened
