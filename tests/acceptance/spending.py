"""Spends money without asking a provider."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa

from cognition import Attribution
from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.domain.reservation import CallAttempt, Claim, subjects_of
from cognition.testing.contracts.samples import MODEL


def spend(engine: sa.Engine, usd: str, who: Attribution) -> None:
    """Let somebody spend money."""
    budgets, attempt = PostgresBudgets(engine, "default"), CallAttempt(uuid4())
    subjects = subjects_of("default", who, MODEL)
    budgets.reserve(Claim(attempt=attempt, subjects=subjects, estimate_usd=Decimal(usd), holder="here"))
    budgets.settle(attempt, Decimal(usd))
