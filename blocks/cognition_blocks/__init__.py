"""Prefect blocks, `llm_task` and run-context attribution: thin shells over the engine `cognition`."""
