"""How single flight hands answers and errors to other processes."""

from __future__ import annotations

import json

from cognition.adapters import codec
from cognition.domain.entry import CacheEntry
from cognition.errors import CognitionError, EntryCorrupted

# The first byte of what single flight leaves for other processes.
_ENTRY = b"="
_ERROR = b"!"


def dump(result: CacheEntry | CognitionError) -> bytes:
    """Return what single flight leaves for other processes: an entry, or an error as JSON."""
    if isinstance(result, CognitionError):
        return _ERROR + json.dumps(result.to_dict()).encode()
    return _ENTRY + bytes.fromhex(result.key) + codec.encode(result)


def load(outcome: bytes) -> CacheEntry | CognitionError:
    """Return what another process left.

    Raises:
        EntryCorrupted: It is neither an answer nor an error of ours.
    """
    kind, body = outcome[:1], outcome[1:]
    if kind == _ERROR:
        try:
            return CognitionError.from_dict(json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            raise EntryCorrupted(
                "What another process left is not an error of ours; ask the provider again."
            ) from error
    if kind != _ENTRY:
        raise EntryCorrupted(
            "What another process left is neither an answer nor an error of ours; ask the provider again."
        )
    return codec.decode(body[32:], body[:32].hex())
