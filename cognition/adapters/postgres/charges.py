"""The ledger cut along several dimensions, in one statement and so of one moment; deleted rows count as ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from cognition.adapters.postgres.connection import connected
from cognition.adapters.postgres.history import NO_LONGER_KEPT, OLD_SUMS, ROW_SUMS, Span, added_up, is_call
from cognition.adapters.postgres.tables import llm_cost_history, llm_cost_tracking
from cognition.domain.charges import MEASURES, Charge, ChargedTo, ChargeQuery, Charges, Sums

_row = llm_cost_tracking.c
_COLUMNS: Mapping[ChargedTo, sa.ColumnElement[Any]] = {
    "workflow": _row.workflow_id,
    "flow_run": _row.flow_run_id,
    "task": _row.task_name,
    "user": _row.user_id,
    "team": _row.team,
    "model": _row.model,
    "namespace": _row.namespace,
    "layer": _row.cache_layer,
    "day": sa.cast(sa.func.timezone(sa.literal_column("'UTC'"), _row.created_at), sa.Date),
}

# A hit has attempt 0. Counting first rows needs no memory for the keys of calls, and no call counts twice.
_begins = is_call & (_row.attempt <= 1)
_SUMS: Mapping[str, sa.ColumnElement[Any]] = {
    "calls": sa.func.count().filter(_begins),
    "hits": sa.func.count().filter(_row.cache_hit),
    **ROW_SUMS,
}

_old = llm_cost_history.c
_OLD_COLUMNS: Mapping[ChargedTo, sa.ColumnElement[Any]] = {
    "workflow": _old.workflow_id,
    "flow_run": NO_LONGER_KEPT,
    "task": _old.task_name,
    "user": _old.user_id,
    "team": _old.team,
    "model": _old.model,
    "namespace": _old.namespace,
    "layer": _old.cache_layer,
    "day": sa.cast(sa.func.timezone(sa.literal_column("'UTC'"), _old.quarter), sa.Date),
}


def charges(engine: sa.Engine, query: ChargeQuery) -> Charges:
    """Return the sums of the whole and of its parts, for each cut."""
    with connected(engine) as connection:
        rows = connection.execute(_statement(query)).all()
    total = Sums()
    cuts: dict[ChargedTo, list[Charge]] = {cut: [] for cut in query.cuts}
    for place, value, *measures in rows:
        sums = Sums(**{name: _number(name, measure) for name, measure in zip(MEASURES, measures, strict=True)})
        if place < 0:
            total = sums
        else:
            cuts[query.cuts[place]].append(Charge(None if value is None else str(value), sums))
    return Charges(total=total, cuts=cuts)


def _statement(query: ChargeQuery) -> sa.Select[Any]:
    """Return the query: the rows are added up once, along all dimensions together, and those sums along each.

    A row says which cut it belongs to by its place, -1 for the total.
    """
    span = Span(tenant=query.tenant, since=query.since, until=query.until)
    names = [f"cut_{place}" for place in range(len(query.cuts))]
    kept, old = (
        [columns[cut].label(name) for name, cut in zip(names, query.cuts, strict=True)]
        for columns in (_COLUMNS, _OLD_COLUMNS)
    )
    fine = sa.union_all(added_up(kept, _SUMS, span.of_rows()), added_up(old, OLD_SUMS, span.of_old())).cte("fine")
    keys = [fine.c[name] for name in names]
    place = sa.case(*((sa.func.grouping(key) == 0, number) for number, key in enumerate(keys)), else_=-1)
    value = sa.case(*((sa.func.grouping(key) == 0, sa.cast(key, sa.Text)) for key in keys), else_=None)
    again = [sa.func.coalesce(sa.func.sum(fine.c[name]), 0).label(name) for name in MEASURES]
    sets = sa.func.grouping_sets(*(sa.tuple_(key) for key in keys), sa.tuple_())
    return (
        sa.select(place.label("place"), value.label("value"), *again)
        .group_by(sets)
        .order_by("place", sa.desc("cost_usd"), sa.desc("calls"), "value")
    )


def _number(name: str, measure: Any) -> Any:
    """Return a sum: of money as it is, of anything else whole, for which PostgreSQL gives a decimal."""
    return measure if name.endswith("_usd") else int(measure)
