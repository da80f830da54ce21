"""A Prefect server offers our blocks by itself once the package is installed beside it."""

import json
import urllib.request

import pytest


@pytest.mark.slow
def test_our_blocks_are_in_the_catalogue(real_server: str) -> None:
    """No command, no save: the server has registered all types with their schemas when it answers."""
    for slug in ("cached-llm", "cognition-store", "llm-budget"):
        block_type = answer_of(f"{real_server}/api/block_types/slug/{slug}")
        assert block_type["description"]
        assert "BLOCK_NAME" in str(block_type["code_example"])
        schemas = answer_of(
            f"{real_server}/api/block_schemas/filter",
            {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}},
        )
        assert 1 == len(schemas)


def answer_of(url: str, body: object = None) -> dict[str, object]:
    """Return the JSON that the server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return json.load(answer)
