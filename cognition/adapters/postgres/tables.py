"""All tables in one place: importing this module, and only this one, makes `metadata` complete.

The revisions in `cognition_migrations` create the same schema; a test compares the two.
"""

from cognition.adapters.postgres.columns import metadata
from cognition.adapters.postgres.tables_breaker import (
    circuit_breaker_history,
    circuit_breaker_permits,
    circuit_breaker_state,
)
from cognition.adapters.postgres.tables_budget import (
    budget_adjustments,
    budget_alerts,
    budget_periods,
    budget_reservations,
    user_budgets,
)
from cognition.adapters.postgres.tables_cache import (
    cache_namespace,
    llm_cache,
    llm_cache_stats,
    single_flight_lease,
)
from cognition.adapters.postgres.tables_cost import llm_cost_history, llm_cost_tracking
from cognition.adapters.postgres.tables_semantic import (
    llm_semantic_cache,
    semantic_block,
    semantic_label,
    semantic_pair,
    semantic_vector,
)

__all__ = [
    "budget_adjustments",
    "budget_alerts",
    "budget_periods",
    "budget_reservations",
    "cache_namespace",
    "circuit_breaker_history",
    "circuit_breaker_permits",
    "circuit_breaker_state",
    "llm_cache",
    "llm_cache_stats",
    "llm_cost_history",
    "llm_cost_tracking",
    "llm_semantic_cache",
    "metadata",
    "semantic_block",
    "semantic_label",
    "semantic_pair",
    "semantic_vector",
    "single_flight_lease",
    "user_budgets",
]
