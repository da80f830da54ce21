"""The one codec: every store keeps entries in this form, and nothing else reads or writes it.

A value is one format byte, the CRC-32 of the rest, and the entry as JSON, compressed with Zstandard above 1 KiB. Never
pickle: a value from a shared store must not run code. Encryption at rest will be one more format byte.
"""

import struct
import threading
import zlib
from typing import Any, cast

import zstandard
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from cognition.domain.entry import CacheEntry
from cognition.errors import EntryCorrupted

_PLAIN = 1
_ZSTANDARD = 2
_HEADER = struct.Struct(">BI")
_COMPRESS_ABOVE_BYTES = 1024
_COMPRESSION_LEVEL = 3  # Zstandard's own default: most of the gain, at hundreds of megabytes a second
_DECODED_BYTES_MAX = 256 * 1024 * 1024  # a small hostile value must not fill the memory

_UNREADABLE = (struct.error, zstandard.ZstdError, ValidationError)

# A tuple, because pydantic takes no configuration for a dataclass. Bytes that are not text would otherwise be refused.
_ENTRY = TypeAdapter(tuple[CacheEntry], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))


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
    try:
        body = _ENTRY.dump_json((entry,), fallback=_null, warnings=False)
    except PydanticSerializationError:
        value = _ENTRY.dump_python((entry,), mode="json", fallback=_null, warnings=False)
        body = to_json(_well_formed(value), inf_nan_mode="null")
    if len(body) <= _COMPRESS_ABOVE_BYTES:
        return _HEADER.pack(_PLAIN, zlib.crc32(body)) + body
    body = _zstandard.compress(body)
    return _HEADER.pack(_ZSTANDARD, zlib.crc32(body)) + body


def decode(data: bytes, key: str) -> CacheEntry:
    """Return the entry of a stored form.

    Args:
        data: What `encode` returned.
        key: The exact key under which it was found, in hexadecimal.

    Raises:
        EntryCorrupted: The value is damaged, of another version, or belongs to another key.
    """
    try:
        (entry,) = _ENTRY.validate_json(_body(data))
    except _UNREADABLE as error:
        # The text of a pydantic error quotes the answer, which may be confidential: only its kind is told.
        message = f"A stored value is not an entry ({type(error).__name__}); it is removed and counts as a miss."
        raise EntryCorrupted(message) from None
    if entry.key != key:
        raise EntryCorrupted("A stored value belongs to another key; it is removed and counts as a miss.")
    return entry


def _body(data: bytes) -> bytes:
    """Return the JSON of a stored form."""
    form, checksum = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if zlib.crc32(body) != checksum:
        raise EntryCorrupted("A stored value is damaged; it is removed and counts as a miss.")
    if form == _PLAIN:
        return body
    # The size is checked before anything is unpacked; -1 means that the frame does not tell, which ours always do.
    if form == _ZSTANDARD and 0 <= zstandard.frame_content_size(body) <= _DECODED_BYTES_MAX:
        return _zstandard.decompress(body)
    raise EntryCorrupted("A stored value is of another version or too large; it is removed and counts as a miss.")


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
