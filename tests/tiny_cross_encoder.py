"""A real ONNX model of a kilobyte: a cross-encoder that counts shared tokens, written without the onnx package.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3 (IR version 8, opset 13).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

from cognition.adapters.wheel_files import WheelFile

_TOKENIZER = WheelFile("all_minilm_l6_v2", "model.zip", "", member="tokenizer.json")
_FLOAT, _INT64 = 1, 7


def write_cross_encoder(folder: Path, labels: Sequence[str], scales: Sequence[float]) -> None:
    """Write a folder as Optimum does.

    Args:
        folder: Where to.
        labels: Names of the outputs.
        scales: For each label its logit when every token of the second text is in the first; its negative when none is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("tokenizer.json").write_bytes(_TOKENIZER.read())
    config = {"id2label": dict(enumerate(labels)), "max_position_embeddings": 512}
    folder.joinpath("config.json").write_text(json.dumps(config), encoding="utf-8")
    folder.joinpath("model.onnx").write_bytes(_model(scales))


def _model(scales: Sequence[float]) -> bytes:
    nodes = [
        _node("Unsqueeze", ["input_ids", "two"], "row"),
        _node("Unsqueeze", ["input_ids", "one"], "column"),
        _node("Equal", ["row", "column"], "equal"),
        _node("Cast", ["equal"], "same", to=_FLOAT),
        _node("Cast", ["token_type_ids"], "second", to=_FLOAT),
        _node("Sub", ["unit", "second"], "first"),
        _node("Unsqueeze", ["first", "two"], "from"),
        _node("Mul", ["same", "from"], "met"),
        _node("ReduceMax", ["met"], "found", axes=1, keepdims=0),
        _node("Mul", ["found", "second"], "counted"),
        _node("ReduceSum", ["counted", "one"], "shared", keepdims=1),
        _node("ReduceSum", ["second", "one"], "all", keepdims=1),
        _node("Div", ["shared", "all"], "share"),
        _node("Mul", ["share", "twice"], "doubled"),
        _node("Sub", ["doubled", "unit"], "centred"),
        _node("Mul", ["centred", "scales"], "logits"),
    ]
    constants = [
        _constant("one", _INT64, struct.pack("<q", 1)),
        _constant("two", _INT64, struct.pack("<q", 2)),
        _constant("unit", _FLOAT, struct.pack("<f", 1)),
        _constant("twice", _FLOAT, struct.pack("<f", 2)),
        _constant("scales", _FLOAT, struct.pack(f"<{len(scales)}f", *scales), len(scales)),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"shared_tokens")
    graph += b"".join(_field(5, constant) for constant in constants)
    graph += _field(11, _value("input_ids", _INT64)) + _field(11, _value("token_type_ids", _INT64))
    graph += _field(12, _value("logits", _FLOAT))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _field(2, 13))


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    node = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode()) + _field(4, kind.encode())
    for name, value in attributes.items():
        number = _field(8, value) + _field(20, 7) if name == "axes" else _field(3, value) + _field(20, 2)
        node += _field(5, _field(1, name.encode()) + number)
    return node


def _constant(name: str, kind: int, data: bytes, length: int = 1) -> bytes:
    return _field(1, length) + _field(2, kind) + _field(8, name.encode()) + _field(9, data)


def _value(name: str, kind: int) -> bytes:
    dimensions = b"".join(_field(1, _field(2, size)) for size in (b"batch", b"sequence"))
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, kind) + _field(2, dimensions)))


def _field(number: int, value: bytes | int) -> bytes:
    """Return one field in protobuf's wire format."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
