"""How a selection is removed from L2 and L3.

First the namespaces are raised, which waits for writers that hold them; then one statement, which sees what those
wrote, deletes from both layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from cognition.adapters.postgres.batch import storable
from cognition.adapters.postgres.rows import vector_text
from cognition.adapters.postgres.storing import FIRST
from cognition.adapters.postgres.tables import cache_namespace, llm_cache, llm_semantic_cache
from cognition.domain.entry import Near, Selection

_ROUNDING = 1e-6  # of a distance: a similarity that was read from L3 must find its own row again


def raising(selection: Selection) -> sa.Executable:
    """Return the statement that raises generations and returns the new ones."""
    table = cache_namespace
    following = {"generation": table.c.generation + 1, "updated_at": sa.func.now()}
    if selection.namespace is not None:
        # A namespace that has no row yet may have entries in L1, or on their way.
        return (
            insert(table)
            .values(
                tenant=selection.tenant,
                namespace=selection.namespace,
                generation=FIRST + 1,
            )
            .on_conflict_do_update(index_elements=[table.c.tenant, table.c.namespace], set_=following)
            .returning(table.c.namespace, table.c.generation)
        )
    locked = (
        sa.select(table.c.namespace)
        .where(table.c.tenant == selection.tenant)
        .order_by(table.c.namespace)
        .with_for_update()
        .cte("locked")
    )
    return (
        sa.update(table)
        .values(following)
        .where(table.c.tenant == selection.tenant, table.c.namespace == locked.c.namespace)
        .returning(table.c.namespace, table.c.generation)
    )


def deleting(selection: Selection) -> sa.Select[Any]:
    """Return the statement that deletes the selected entries.

    Each row it returns is the number of entries that L3 lost, the same in all, and the address of one that L2 lost; the
    address is NULL in the only row when L2 lost none. Copies that L2 holds of removed entries go with them.
    """
    of_l3 = _selected(llm_semantic_cache, selection)
    if selection.similar is not None:
        of_l3.append(_is_near(selection.similar))
    near = sa.delete(llm_semantic_cache).where(*of_l3).returning(llm_semantic_cache.c.key).cte("near")

    of_l2 = _selected(llm_cache, selection)
    if selection.similar is not None:
        of_l2.append(llm_cache.c.key.in_(sa.select(near.c.key)))
    address = (llm_cache.c.namespace, llm_cache.c.key, llm_cache.c.scope_key)
    exact = sa.delete(llm_cache).where(*of_l2).returning(*address).cte("exact")

    # A row that is both selected and a copy is deleted, and returned, once.
    originals = sa.union(sa.select(near.c.key), sa.select(exact.c.key))
    of_removed = (llm_cache.c.tenant == selection.tenant, llm_cache.c.origin_key.in_(originals))
    copies = sa.delete(llm_cache).where(*of_removed).returning(*address).cte("copies")

    count = sa.select(sa.func.count().label("lost")).select_from(near).subquery("of_l3")
    gone = sa.union_all(sa.select(*exact.c), sa.select(*copies.c)).subquery("of_l2")
    return sa.select(count.c.lost, *gone.c).join_from(count, gone, sa.true(), isouter=True)


def _selected(table: sa.Table, selection: Selection) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that columns of both layers meet."""
    conditions = [table.c.tenant == selection.tenant]
    if selection.namespace is not None:
        conditions.append(table.c.namespace == selection.namespace)
    if selection.model is not None:
        conditions.append(table.c.model == selection.model)
    if selection.tag is not None:
        conditions.append(table.c.tags.contains([storable(selection.tag)]))
    if selection.key is not None:
        conditions.append(table.c.key == selection.key)
    if selection.created_before is not None:
        conditions.append(table.c.created_at < selection.created_before)
    return conditions


def _is_near(near: Near) -> sa.ColumnElement[bool]:
    """Return the condition that a row's question is near, compared exactly: an index would lose some."""
    vector = vector_text(np.asarray(near.vector, np.float32))
    is_near = sa.text("embedding <=> CAST(:vector AS halfvec) <= :distance")
    is_near = is_near.bindparams(vector=vector, distance=1 - near.above + _ROUNDING)
    same_embedder = llm_semantic_cache.c.embedder_fingerprint == near.fingerprint
    return sa.and_(same_embedder, is_near)
