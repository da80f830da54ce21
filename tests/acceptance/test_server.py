"""A Prefect server offers our blocks by itself once the package is installed beside it."""

import json
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.prefect_server import prefect_server


@pytest.fixture
def server(tmp_path: Path) -> Generator[str]:
    """Start a real server that sees our entry point, on loopback, and return the address of its API."""
    with prefect_server(tmp_path) as address:
        yield f"{address}/api"


@pytest.mark.slow
def test_our_blocks_are_in_the_catalogue(server: str) -> None:
    """No command, no save: the server has registered all types with their schemas when it answers."""
    for slug in ("cached-llm", "cognition-store", "llm-budget"):
        block_type = answer_of(f"{server}/block_types/slug/{slug}")
        assert block_type["description"]
        assert "BLOCK_NAME" in str(block_type["code_example"])
        schemas = answer_of(
            f"{server}/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}}
        )
        assert 1 == len(schemas)


def answer_of(url: str, body: object = None) -> dict[str, object]:
    """Return the JSON that the server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return json.load(answer)
