"""Prefect blocks, `llm_task` and run-context attribution: thin shells over the engine `cognition`.

Prefect's server imports this module when it starts (entry point `prefect.collections`) and registers the blocks in it.
"""

from cognition_blocks.attribution import attribute
from cognition_blocks.llm import CachedLLM
from cognition_blocks.run_summary import publish_run_summary
from cognition_blocks.store import CognitionStore
from cognition_blocks.task import llm_task, retry_condition

__all__ = ["CachedLLM", "CognitionStore", "attribute", "llm_task", "publish_run_summary", "retry_condition"]
