"""Entries, texts and vectors as columns: how they are written and how they are read back."""

from __future__ import annotations

import numpy as np
from pydantic_core import to_json

from cognition.adapters.codec import encode
from cognition.adapters.postgres.batch import Row, storable
from cognition.domain.entry import Address, CacheEntry
from cognition.domain.semantic import Vector
from cognition.errors import EntryCorrupted

_PLAIN_TEXT = b"\x01"  # the form of a text; encryption at rest will be another
_VECTOR_HEADER_BYTES = 4  # two 16-bit numbers: the dimensions, and one that is unused
_VECTOR_DECIMALS = 6  # what is cut off is far less than what half precision loses


def row_of(address: Address, entry: CacheEntry) -> Row:
    """Return the columns that an entry has in either durable layer."""
    payload = encode(entry)
    return {
        "tenant": address.tenant,
        "key": address.key,
        "namespace": address.namespace,
        "scope_key": address.scope_key,
        "model": entry.model,
        "provider": entry.model.partition(":")[0],
        "requested_model": entry.requested_model,
        "payload": payload,
        "payload_bytes": len(payload),
        "generation": entry.generation,
        "tags": [storable(tag) for tag in entry.tags],
        "request_id": entry.request_id,
        "created_at": entry.created_at,
        "expires_at": entry.expires_at,
    }


def pack_text(text: str) -> bytes:
    """Return a prompt as bytes: any text can be kept, also one that is not quite Unicode."""
    return _PLAIN_TEXT + text.encode("utf-8", "surrogatepass")


def unpack_text(data: bytes) -> str:
    """Return the prompt of what `pack_text` returned.

    Raises:
        EntryCorrupted: It was written by a newer version, or is damaged.
    """
    try:
        if data[:1] == _PLAIN_TEXT:
            return data[1:].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        pass  # its text would quote the prompt
    raise EntryCorrupted("A stored prompt is damaged or of another version; it counts as a miss.")


def vector_text(vector: Vector) -> str:
    """Return a vector as pgvector reads it."""
    return to_json(vector.astype(np.float64).round(_VECTOR_DECIMALS).tolist()).decode()


def read_vector(sent: bytes) -> Vector:
    """Return the vector of what pgvector's `halfvec_send` returned, scaled to unit length again after its rounding."""
    vector = np.frombuffer(sent, ">f2", offset=_VECTOR_HEADER_BYTES).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))
