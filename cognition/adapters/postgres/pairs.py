"""Pairs of similar questions in PostgreSQL: met, judged, blocked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from cognition.adapters.postgres.batch import Row, bind, rows_of, storable
from cognition.adapters.postgres.connection import compiled, fetch
from cognition.adapters.postgres.rows import pack_text, unpack_text
from cognition.adapters.postgres.tables import semantic_block, semantic_label, semantic_pair
from cognition.domain.semantic import Label, Pair, hash_of


class PostgresPairs:
    """What is known about similar questions; each call is one statement."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
        """
        self._engine = engine

    def note(self, pairs: Sequence[Pair]) -> None:
        """Remember pairs, so that they can be judged and reported later; a pair noted again changes nothing."""
        if pairs:
            fetch(self._engine, _NOTE, {"rows": bind([_row(pair) for pair in pairs])})

    def find(self, tenant: str, request_id: str) -> Pair | None:
        """Return the pair of one call: the served one, or the one with the highest score."""
        rows = fetch(self._engine, _FIND, {"tenant": tenant, "request_id": storable(request_id)})
        return _pair(*rows[0]) if rows else None

    def find_served(self, tenant: str, asked_key: bytes) -> Pair | None:
        """Return the latest pair that was served under an exact key, for a call that got a copy of a semantic hit."""
        rows = fetch(self._engine, _FIND_SERVED, {"tenant": tenant, "asked_key": asked_key})
        return _pair(*rows[0]) if rows else None

    def judge(self, pair: Pair, label: Label) -> None:
        """Record a verdict on a pair, whether the pair was noted or not; a later verdict of one source replaces it."""
        verdict = {
            "tenant": pair.tenant,
            "request_id": storable(pair.request_id),
            "cached_key": pair.cached_key,
            "source": label.source,
            "namespace": pair.namespace,
            "embedder_fingerprint": pair.fingerprint,
            "score": label.score,
            "is_right": label.right,
            "judged_at": label.at,
        }
        fetch(self._engine, _JUDGE, verdict)

    def block(self, pair: Pair) -> None:
        """Never again let one of two texts be answered by the answer to the other, for this tenant."""
        first, second = sorted((hash_of(pair.asked_text), hash_of(pair.cached_text)))
        fetch(self._engine, _BLOCK, {"tenant": pair.tenant, "first_hash": first, "second_hash": second})

    def labels(self, tenant: str, namespace: str, fingerprint: str, limit: int) -> list[Label]:
        """Return the latest verdicts of a namespace, newest first."""
        wanted = {"tenant": tenant, "namespace": namespace, "fingerprint": fingerprint, "size": limit}
        return [Label(*row) for row in fetch(self._engine, _LABELS, wanted)]


def _row(pair: Pair) -> Row:
    return {
        "tenant": pair.tenant,
        "request_id": storable(pair.request_id),
        "cached_key": pair.cached_key,
        "namespace": pair.namespace,
        "embedder_fingerprint": pair.fingerprint,
        "asked_key": pair.asked_key,
        "asked_text": pack_text(pair.asked_text),
        "cached_text": pack_text(pair.cached_text),
        "similarity": pair.similarity,
        "score": pair.score,
        "served": pair.served,
        "asked_at": pair.at,
    }


def _pair(*columns: Any) -> Pair:
    row = dict(zip(semantic_pair.c.keys(), columns, strict=True))
    return Pair(
        tenant=row["tenant"],
        namespace=row["namespace"],
        fingerprint=row["embedder_fingerprint"],
        request_id=row["request_id"],
        asked_key=bytes(row["asked_key"]),
        cached_key=bytes(row["cached_key"]),
        asked_text=unpack_text(bytes(row["asked_text"])),
        cached_text=unpack_text(bytes(row["cached_text"])),
        similarity=row["similarity"],
        score=row["score"],
        served=row["served"],
        at=row["asked_at"],
    )


# -- statements -------------------------------------------------------------------------------------------------------

_one = semantic_pair.c
_item = rows_of(semantic_pair.c)
_ordered = sa.select(*(_item.c[column.name] for column in _one)).order_by(
    _item.c.tenant, _item.c.request_id, _item.c.cached_key
)
_NOTE = compiled(insert(semantic_pair).from_select(semantic_pair.c.keys(), _ordered).on_conflict_do_nothing())
_FIND = compiled(
    sa.select(semantic_pair)
    .where(_one.tenant == sa.bindparam("tenant"), _one.request_id == sa.bindparam("request_id"))
    .order_by(_one.served.desc(), _one.score.desc())
    .limit(sa.literal_column("1"))
)
_FIND_SERVED = compiled(
    sa.select(semantic_pair)
    .where(
        _one.tenant == sa.bindparam("tenant"),
        _one.asked_key == sa.bindparam("asked_key"),
        _one.served,
    )
    .order_by(_one.asked_at.desc())
    .limit(sa.literal_column("1"))
)

_label = semantic_label.c
_verdict = insert(semantic_label).values({column.name: sa.bindparam(column.name) for column in _label})
_JUDGE = compiled(
    _verdict.on_conflict_do_update(
        index_elements=list(semantic_label.primary_key),
        set_={name: _verdict.excluded[name] for name in ("score", "is_right", "judged_at")},
    )
)
_LABELS = compiled(
    sa.select(_label.score, _label.is_right, _label.source, _label.judged_at)
    .where(
        _label.tenant == sa.bindparam("tenant"),
        _label.namespace == sa.bindparam("namespace"),
        _label.embedder_fingerprint == sa.bindparam("fingerprint"),
    )
    .order_by(_label.judged_at.desc())
    .limit(sa.bindparam("size"))
)
_BLOCK = compiled(
    insert(semantic_block)
    .values({name: sa.bindparam(name) for name in ("tenant", "first_hash", "second_hash")})
    .on_conflict_do_nothing()
)
