"""A cross-encoder in the ONNX format from a folder of the user's: it reads both questions at once.

Such a folder is made once by Optimum, on any machine: `optimum-cli export onnx --model NAME FOLDER`, where NAME is a
sequence classifier such as cross-encoder/quora-distilroberta-base. Nothing is downloaded here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cognition.adapters.onnx_model import OnnxModel
from cognition.errors import ConfigurationError

_FILES = ("model.onnx", "tokenizer.json", "config.json")
_ENTAILMENT = "entailment"
_SAME = ("duplicate", "paraphrase", "equivalent", "same")
"""What the label of a head that was trained on pairs of questions has in its name, unless it begins with a `not`."""

_OWN_POSITIONS = 2  # that RoBERTa counts among its positions but never fills
_LONGEST_TOKEN = 18  # characters of the longest word in the vocabulary of BERT


class CrossEncoder:
    """A `Verifier` over a sequence classifier: loaded on first use, one pair at a time.

    Its head is read from `id2label` in `config.json`. A single label is a logit (sigmoid). `entailment` must hold in
    both directions, for only then does each question ask for what the other does. A label such as `duplicate` or
    `paraphrase` is taken as it is. A pair that is longer than the window gets 0: it would be judged by its head alone.
    """

    def __init__(self, folder: Path) -> None:
        """Check the folder, without loading the model.

        Args:
            folder: Holds `model.onnx`, `tokenizer.json` and `config.json`.

        Raises:
            ConfigurationError: A file is missing, or the head has no label that says what we ask.
        """
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise ConfigurationError(
                f"The verifier's folder {folder} lacks {' and '.join(missing)}; export a sequence classifier to it."
            )
        config = _config(folder)
        labels = [label.lower() for _, label in sorted(config["id2label"].items(), key=lambda item: int(item[0]))]
        self._name = f"onnx:{folder.resolve().name}"
        self._labels = len(labels)
        self._label = _label_of(self._name, labels)
        self._both_ways = len(labels) > 1 and labels[self._label] == _ENTAILMENT
        self._window = int(config.get("max_position_embeddings", 512)) - _OWN_POSITIONS
        self._model = OnnxModel(self._name, lambda: str(folder / "model.onnx"), (folder / "tokenizer.json").read_bytes)

    @property
    def name(self) -> str:
        """`onnx:` and the folder's name."""
        return self._name

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return how likely each pair asks for the same.

        Raises:
            CacheUnavailable: The model failed.
            ConfigurationError: The files are no model that can be run, or one with another head.
        """
        return [self._verify(cached, asked) for cached, asked in pairs]

    def close(self) -> None:
        """Let go of the model; a later use loads it again."""
        self._model.close()

    def _verify(self, cached: str, asked: str) -> float:
        probability = self._one_way(cached, asked)
        return min(probability, self._one_way(asked, cached)) if self._both_ways else probability

    def _one_way(self, first: str, second: str) -> float:
        if len(first) + len(second) > self._window * _LONGEST_TOKEN:
            return 0.0  # a megabyte would take a second to cut up
        encoding = self._model.encode(first, second)
        if len(encoding.ids) > self._window:
            return 0.0
        # One at a time: models with rounded activations answer differently beside others.
        logits = self._model.run(np.array([encoding.ids], np.int64), np.array([encoding.type_ids], np.int64))[0]
        if logits.shape != (self._labels,):
            named = f"its config.json names {self._labels} labels"
            raise ConfigurationError(f"{self._name} answers with shape {logits.shape} where {named}; export it again.")
        return _probabilities(logits.tolist())[self._label]


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{folder / 'config.json'} is no JSON; export the model again.") from error
    # Transformers leaves out what is its default.
    return {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}} | config


def _label_of(name: str, labels: Sequence[str]) -> int:
    if len(labels) == 1:
        return 0
    for index, label in enumerate(labels):
        if label == _ENTAILMENT or (any(part in label for part in _SAME) and not label.startswith(("not", "non"))):
            return index
    raise ConfigurationError(
        f"No label of {name} means that two questions are the same ({', '.join(labels)}); name one 'duplicate' in its"
        " config.json (id2label)."
    )


def _probabilities(logits: Sequence[float]) -> list[float]:
    """Return the share of each label; of a single one, the sigmoid: its share beside a logit of 0."""
    rivals = [*logits, 0.0] if len(logits) == 1 else logits
    highest = max(rivals)
    powers = [math.exp(logit - highest) for logit in rivals]
    return [power / sum(powers) for power in powers]
