"""The one codec: every store keeps entries in this form, and nothing else reads or writes it.

A value is a format byte, a CRC-32 over all that follows, a head of fixed size with what a look-up decides by (key,
generation, life), and a body of JSON with the answer, compressed with Zstandard above 1 KiB. Copies of one entry differ
in their heads alone, so the body is made once for all layers. Never pickle: a value from a shared store must not run
code. Encryption at rest will be one more bit of the format.

There are two kinds of body. The whole one is pydantic's and takes any answer. The lean one leaves out what has its
default and is read without validation, in half the time. It is used only where reading it brings the same answer back,
as `encode` checks: for answers of plain text.
"""

import hashlib
import struct
import threading
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, cast

import pydantic_ai
import zstandard
from pydantic import ConfigDict, TypeAdapter
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage
from pydantic_core import PydanticSerializationError, from_json, to_json

from cognition.domain.deferred import Later
from cognition.domain.entry import CacheEntry
from cognition.errors import EntryCorrupted

_VERSION = 0x20
_COMPRESSED = 0x01
_LEAN = 0x02

_SEAL = struct.Struct(">BI")  # format, checksum
_HEAD = struct.Struct(">32sQqq4s")  # key, generation, creation and end in microseconds since 1970, writer
_BODY_AT = _SEAL.size + _HEAD.size
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Who wrote a value: the fields of an answer are those of a version of pydantic-ai.
_WRITER = hashlib.sha256(pydantic_ai.__version__.encode()).digest()[:4]

_COMPRESS_ABOVE_BYTES = 1024
_COMPRESSION_LEVEL = 3  # Zstandard's own default: most of the gain, at hundreds of megabytes a second
_DECODED_BYTES_MAX = 256 * 1024 * 1024  # a small hostile value must not fill the memory

# What reading anything but an entry may raise; pydantic's and JSON's errors are ValueErrors.
_UNREADABLE = (struct.error, zstandard.ZstdError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


# What all copies of an entry have in common, in the order of the JSON.
_FIELDS = ("model", "requested_model", "cost_usd", "request_id", "tags", "origin", "similarity", "response")
_Answer = tuple[str, str, Decimal | None, str, tuple[str, ...], str | None, float | None, ModelResponse]
# Bytes that are not text would otherwise be refused.
_ANSWER = TypeAdapter(_Answer, config=ConfigDict(ser_json_bytes="base64"))


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
    if entry.written:
        form, created, body = _parts(entry.written[0])
    else:
        form, body = _body(entry)
        created = _microseconds(entry.created_at)
    head = _HEAD.pack(bytes.fromhex(entry.key), entry.generation, created, _microseconds(entry.expires_at), _WRITER)
    sealed = head + body
    value = _SEAL.pack(form, zlib.crc32(sealed, form)) + sealed
    if not entry.written:
        entry.written.append(value)
    return value


def decode(data: bytes, key: str) -> CacheEntry:
    """Return the entry of a stored form.

    What this very version wrote in the lean form it can read, for `encode` has tried; so it is read when somebody looks
    at the answer. All else is read at once.

    Args:
        data: What `encode` returned.
        key: The exact key under which it was found, in hexadecimal.

    Raises:
        EntryCorrupted: The value is damaged, of another version, or belongs to another key.
    """
    try:
        form, checksum = _SEAL.unpack_from(data)
        if form & ~(_COMPRESSED | _LEAN) != _VERSION or zlib.crc32(data[_SEAL.size :], form) != checksum:
            raise EntryCorrupted("A stored value is damaged or of another version; it counts as a miss.")
        held_key, generation, _, expires, writer = _HEAD.unpack_from(data, _SEAL.size)
        later: Later = partial(_read_later, data)
        if writer != _WRITER or not form & _LEAN:
            later = partial(_same, _answer(data))
        expires_at = _moment(expires)
    except _UNREADABLE:
        # Without the cause: the text of a pydantic error quotes the answer, which may be confidential.
        raise EntryCorrupted("A stored value is not an entry; it counts as a miss.") from None
    if held_key.hex() != key:
        raise EntryCorrupted("A stored value belongs to another key; it counts as a miss.")
    return CacheEntry.deferred(later, key=key, generation=generation, expires_at=expires_at, written=[data])


def _body(entry: CacheEntry) -> tuple[int, bytes]:
    """Return the format and the body."""
    answer = cast("_Answer", tuple(getattr(entry, name) for name in _FIELDS))
    form, body = _VERSION | _LEAN, _lean_json(answer)
    if body is None:
        form, body = _VERSION, _whole_json(answer)
    if len(body) > _COMPRESS_ABOVE_BYTES:
        form, body = form | _COMPRESSED, _zstandard.compress(body)
    return form, body


def _parts(value: bytes) -> tuple[int, int, bytes]:
    """Return format, creation and body of a stored form."""
    _, _, created, _, _ = _HEAD.unpack_from(value, _SEAL.size)
    return value[0], created, value[_BODY_AT:]


def _answer(value: bytes) -> dict[str, Any]:
    """Return what copies of an entry have in common, from its stored form."""
    form, created, body = _parts(value)
    if form & _COMPRESSED:
        body = _decompressed(body)
    answer = _read_lean(body) if form & _LEAN else _ANSWER.validate_json(body)
    return dict(zip(_FIELDS, answer, strict=True), created_at=_moment(created))


def _read_later(value: bytes, _: str) -> Mapping[str, Any]:
    return _answer(value)


def _same(answer: Mapping[str, Any], _: str) -> Mapping[str, Any]:
    return answer


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _decompressed(body: bytes) -> bytes:
    # The size is checked before anything is unpacked; -1 means that the frame does not tell, which ours always do.
    if not 0 <= zstandard.frame_content_size(body) <= _DECODED_BYTES_MAX:
        raise EntryCorrupted("A stored value is too large to be unpacked; it counts as a miss.")
    return _zstandard.decompress(body)


def _lean_json(answer: _Answer) -> bytes | None:
    try:
        body = _ANSWER.dump_json(answer, exclude_defaults=True, warnings=False)
        return body if _read_lean(body) == answer else None
    except (PydanticSerializationError, *_UNREADABLE):
        return None


def _read_lean(body: bytes) -> _Answer:
    model, requested_model, cost, request_id, tags, origin, similarity, response = from_json(body)
    response["parts"] = [TextPart(**part) for part in response["parts"]]
    response["usage"] = RequestUsage(**response.get("usage", {}))
    response["timestamp"] = datetime.fromisoformat(response["timestamp"])
    cost_usd = None if cost is None else Decimal(cost)
    return model, requested_model, cost_usd, request_id, tuple(tags), origin, similarity, ModelResponse(**response)


def _whole_json(answer: _Answer) -> bytes:
    try:
        return _ANSWER.dump_json(answer, fallback=_null, warnings=False)
    except PydanticSerializationError:
        value = _ANSWER.dump_python(answer, mode="json", fallback=_null, warnings=False)
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
