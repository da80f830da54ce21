"""Prefect blocks, `llm_task` and run-context attribution: thin shells over the engine `cognition`.

Prefect's server imports this module when it starts (entry point `prefect.collections`) and registers the blocks in it.
"""

from cognition_blocks.attribution import attribute
from cognition_blocks.budget import LLMBudget
from cognition_blocks.budget_events import emit_alert
from cognition_blocks.llm import CachedLLM
from cognition_blocks.rescheduling import reschedule_on_retry_later
from cognition_blocks.retries import retry_condition
from cognition_blocks.run_summary import publish_run_summary
from cognition_blocks.store import CognitionStore
from cognition_blocks.task import llm_task

__all__ = [
    "CachedLLM",
    "CognitionStore",
    "LLMBudget",
    "attribute",
    "emit_alert",
    "llm_task",
    "publish_run_summary",
    "reschedule_on_retry_later",
    "retry_condition",
]
