"""The one codec: every store keeps entries in this form, and nothing else reads or writes it.

A value is a format byte, a CRC-32, and the entry as JSON, compressed with Zstandard above 1 KiB. Never pickle: a value
from a shared store must not run code. Encryption at rest will be one more bit of the format.

There are two kinds of JSON. The whole one is pydantic's and takes any answer. The lean one leaves out what has its
default and is read without validation, in half the time; a hit in L1 takes little more. It is used only where reading
it brings the same entry back, as `encode` checks: for answers of plain text.
"""

import struct
import threading
import zlib
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import zstandard
from pydantic import ConfigDict, TypeAdapter
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage
from pydantic_core import PydanticSerializationError, from_json, to_json

from cognition.domain.entry import CacheEntry
from cognition.errors import EntryCorrupted

_VERSION = 0x10
_COMPRESSED = 0x01
_LEAN = 0x02

_HEADER = struct.Struct(">BI")
_COMPRESS_ABOVE_BYTES = 1024
_COMPRESSION_LEVEL = 3  # Zstandard's own default: most of the gain, at hundreds of megabytes a second
_DECODED_BYTES_MAX = 256 * 1024 * 1024  # a small hostile value must not fill the memory

# What reading anything but an entry may raise; pydantic's and JSON's errors are ValueErrors.
_UNREADABLE = (struct.error, zstandard.ZstdError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)

# A tuple, because pydantic takes no configuration for a dataclass. Bytes that are not text would otherwise be refused.
_ENTRY = TypeAdapter(tuple[CacheEntry], config=ConfigDict(ser_json_bytes="base64"))


class _Zstandard(threading.local):
    """The two coders of one thread: they are costly to make and not safe to share."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstandard = _Zstandard()


def encode(entry: CacheEntry) -> bytes:
    """Return the stored form of an entry.

    No paid answer should be lost to an odd detail, so what JSON cannot express is kept as near as possible: halves of a
    surrogate pair that belong together are joined, others become U+FFFD; foreign objects among a provider's details
    become null.
    """
    form, body = _VERSION | _LEAN, _lean_json(entry)
    if body is None:
        form, body = _VERSION, _whole_json(entry)
    if len(body) > _COMPRESS_ABOVE_BYTES:
        form, body = form | _COMPRESSED, _zstandard.compress(body)
    return _HEADER.pack(form, zlib.crc32(body, form)) + body


def decode(data: bytes, key: str) -> CacheEntry:
    """Return the entry of a stored form.

    Args:
        data: What `encode` returned.
        key: The exact key under which it was found, in hexadecimal.

    Raises:
        EntryCorrupted: The value is damaged, of another version, or belongs to another key.
    """
    try:
        form, checksum = _HEADER.unpack_from(data)
        body = data[_HEADER.size :]
        if form & ~(_COMPRESSED | _LEAN) != _VERSION or zlib.crc32(body, form) != checksum:
            raise EntryCorrupted("A stored value is damaged or of another version; it counts as a miss.")
        if form & _COMPRESSED:
            body = _decompressed(body)
        entry = _read_lean(body) if form & _LEAN else _ENTRY.validate_json(body)[0]
    except _UNREADABLE:
        # Without the cause: the text of a pydantic error quotes the answer, which may be confidential.
        raise EntryCorrupted("A stored value is not an entry; it counts as a miss.") from None
    if entry.key != key:
        raise EntryCorrupted("A stored value belongs to another key; it counts as a miss.")
    return entry


def _decompressed(body: bytes) -> bytes:
    # The size is checked before anything is unpacked; -1 means that the frame does not tell, which ours always do.
    if not 0 <= zstandard.frame_content_size(body) <= _DECODED_BYTES_MAX:
        raise EntryCorrupted("A stored value is too large to be unpacked; it counts as a miss.")
    return _zstandard.decompress(body)


def _lean_json(entry: CacheEntry) -> bytes | None:
    try:
        body = _ENTRY.dump_json((entry,), exclude_defaults=True, warnings=False)
        return body if _read_lean(body) == entry else None
    except (PydanticSerializationError, *_UNREADABLE):
        return None


def _read_lean(body: bytes) -> CacheEntry:
    (entry,) = from_json(body)
    response = entry["response"]
    response["parts"] = [TextPart(**part) for part in response["parts"]]
    response["usage"] = RequestUsage(**response["usage"])
    response["timestamp"] = datetime.fromisoformat(response["timestamp"])
    entry["response"] = ModelResponse(**response)
    entry["created_at"] = datetime.fromisoformat(entry["created_at"])
    entry["expires_at"] = datetime.fromisoformat(entry["expires_at"])
    entry["tags"] = tuple(entry.get("tags", ()))
    cost = entry["cost_usd"]
    entry["cost_usd"] = None if cost is None else Decimal(cost)
    return CacheEntry(**entry)


def _whole_json(entry: CacheEntry) -> bytes:
    try:
        return _ENTRY.dump_json((entry,), fallback=_null, warnings=False)
    except PydanticSerializationError:
        value = _ENTRY.dump_python((entry,), mode="json", fallback=_null, warnings=False)
        return to_json(_well_formed(value), inf_nan_mode="null")


def _null(_: object) -> None:
    """Stand for an object that JSON cannot express."""


def _well_formed(value: Any) -> Any:
    """Return a JSON value with every text made valid Unicode."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_well_formed(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {_well_formed(name): _well_formed(item) for name, item in cast("dict[str, Any]", value).items()}
    return value
