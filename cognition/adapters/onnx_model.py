"""A model in the ONNX format with its tokenizer, run on this machine's processor."""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cognition.adapters.machine import usable_cores
from cognition.errors import CacheUnavailable, ConfigurationError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})

Tokens = NDArray[np.int64]
"""Token numbers of some texts of one length: one row a text."""

_MOST_THREADS = 4  # more gain nothing on texts this short, and take the cores from the flow's own work
_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class _Loaded:
    session: Any
    inputs: frozenset[str]
    tokenizer: Tokenizer


class OnnxModel:
    """Loads on first use, once a process; safe to use from any thread, and after a fork."""

    def __init__(self, name: str, weights: Callable[[], bytes | str], tokenizer: Callable[[], bytes]) -> None:
        """Check that models can be run here, without loading this one.

        Args:
            name: Name of the model in messages.
            weights: Returns the contents of its ONNX file, or where that lies.
            tokenizer: Returns the contents of its `tokenizer.json`.

        Raises:
            ConfigurationError: A library is missing.
        """
        missing = [library for library in ("onnxruntime", "tokenizers") if importlib.util.find_spec(library) is None]
        if missing:
            message = f"{name} needs {' and '.join(missing)}; run: pip install 'prefect-cognition[local]'"
            raise ConfigurationError(message)
        self._name = name
        self._weights = weights
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._left_behind: list[_Loaded | None] = []
        _forget_after_fork(self)

    def load(self) -> None:
        """Load it now rather than on first use (a quarter of a second).

        Raises:
            ConfigurationError: A file is missing, or is not what it should be.
        """
        self._open()

    def encode(self, text: str, other: str | None = None) -> Encoding:
        """Return the tokens of a text or a pair, all of them.

        Half characters (lone surrogates) become question marks, because the tokenizer accepts none.
        """
        return self._open().tokenizer.encode(_whole(text), None if other is None else _whole(other))

    def run(self, tokens: Tokens, kinds: Tokens | None = None) -> NDArray[np.float32]:
        """Return the first output for texts of one length, which need no padding.

        Args:
            tokens: One row a text.
            kinds: For each token 0 or 1, whether it belongs to the first or the second text of a pair; None: all 0.

        Raises:
            CacheUnavailable: The model failed, such as for want of memory.
        """
        loaded = self._open()
        given = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens) if kinds is None else kinds,
        }
        try:
            return loaded.session.run(None, {name: given[name] for name in loaded.inputs})[0]
        except Exception as error:
            # The library raises classes of its own that it does not publish.
            reason = type(error).__name__
            raise CacheUnavailable(f"{self._name} failed on this machine ({reason}).", store=self._name) from error

    def close(self) -> None:
        """Let go of the memory; a later use loads it again."""
        with self._lock:
            self._loaded = None

    def _open(self) -> _Loaded:
        loaded = self._loaded
        if loaded is not None:
            return loaded
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self._name, self._weights(), self._tokenizer())
            return self._loaded

    def forget(self) -> None:
        """Start anew after a fork: the threads of the session do not survive it."""
        # Kept, for destroying it would wait for those threads.
        self._left_behind.append(self._loaded)
        self._loaded = None
        self._lock = threading.Lock()


def _load(name: str, weights: bytes | str, tokenizer: bytes) -> _Loaded:
    # Heavy: a tenth of a second, and not everybody has a local model.
    from tokenizers import Tokenizer  # noqa: PLC0415

    engine: Any = importlib.import_module("onnxruntime")  # has no types
    options = engine.SessionOptions()
    options.intra_op_num_threads = min(usable_cores(), _MOST_THREADS)
    options.log_severity_level = _ERRORS_ONLY
    # Idle threads would burn a core after every text, for a third of its latency on an otherwise idle machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = engine.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        words = Tokenizer.from_buffer(tokenizer)
    except Exception as error:
        # Both libraries raise classes of their own that they do not publish.
        raise ConfigurationError(f"The files of {name} are no model that can be run: {_first_line(error)}.") from error
    inputs = frozenset(given.name for given in session.get_inputs())
    if not inputs <= _INPUTS:
        unknown = ", ".join(sorted(inputs - _INPUTS))
        raise ConfigurationError(f"{name} wants inputs that we do not have ({unknown}); export an encoder.")
    words.no_padding()
    words.no_truncation()
    return _Loaded(session, inputs, words)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _forget_after_fork(model: OnnxModel) -> None:
    if not hasattr(os, "register_at_fork"):  # Windows has no fork
        return
    reference = weakref.ref(model)  # the hook stays as long as the process

    def forget() -> None:
        if (known := reference()) is not None:
            known.forget()

    os.register_at_fork(after_in_child=forget)
