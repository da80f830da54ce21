"""Settlements as lines of text: a format, a checksum, and JSON.

    1 8c736521 {"row":{"tenant":"default",…},"held":true,"subjects":{}}

A line is whole or it is none: what a crash left of one fails its checksum, and the lines around it are read all the
same. Money is text, times have their zone, everything is ASCII, so that even half a character in a name comes back.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic_ai.usage import RequestUsage

from cognition.domain.attribution import Attribution
from cognition.domain.entry import Layer
from cognition.domain.ledger import LedgerRow
from cognition.domain.pricing import Cost
from cognition.domain.settlement import Settlement

_FORMAT = b"1"


def line_of(settlement: Settlement) -> bytes:
    """Return a settlement as a line.

    Raises:
        TypeError: The usage holds something that is no JSON.
    """
    body = json.dumps(_plain_settlement(settlement), separators=(",", ":")).encode("ascii")
    return b"%b %08x %b\n" % (_FORMAT, zlib.crc32(body), body)


def settlement_of(line: bytes) -> Settlement | None:
    """Return the settlement of a line, or None when it is damaged or of another format."""
    form, _, rest = line.rstrip(b"\n").partition(b" ")
    checksum, _, body = rest.partition(b" ")
    if form != _FORMAT or checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        return _settlement(json.loads(body))
    except (ValueError, TypeError, LookupError, ArithmeticError):
        # Written by a version that knows more.
        return None


def _plain(value: Any) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in fields(value)}


def _plain_settlement(settlement: Settlement) -> dict[str, Any]:
    row, usage, cost = settlement.row, settlement.row.usage, settlement.row.cost
    plain_row = _plain(row) | {
        "attribution": _plain(row.attribution),
        "request_key": row.request_key.hex(),
        # What it was given beside its fields, too: the ledger's hash of a row covers that.
        "usage": vars(usage) | {"cost": _text(usage.cost)},
        "cost": cost and _plain(cost) | {"usd": str(cost.usd), "rates": dict(cost.rates)},
        "saved_usd": _text(row.saved_usd),
        "layer": row.layer.value,
        "created_at": row.created_at.isoformat(),
    }
    return _plain(settlement) | {"row": plain_row, "subjects": dict(settlement.subjects)}


def _settlement(plain: dict[str, Any]) -> Settlement:
    row, cost = plain["row"], plain["row"]["cost"]
    who, usage = row["attribution"], row["usage"]
    read: dict[str, Any] = {
        "attribution": Attribution(**who | {"tags": tuple(who["tags"])}),
        "request_key": bytes.fromhex(row["request_key"]),
        "usage": RequestUsage(**usage | {"cost": _amount(usage["cost"])}),
        "cost": cost and Cost(**cost | {"usd": Decimal(cost["usd"])}),
        "saved_usd": _amount(row["saved_usd"]),
        "layer": Layer(row["layer"]),
        "created_at": datetime.fromisoformat(row["created_at"]),
    }
    whole: dict[str, Any] = plain | {"row": LedgerRow(**row | read)}
    return Settlement(**whole)


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
