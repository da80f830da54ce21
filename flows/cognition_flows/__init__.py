"""Prefect flows over the engine: the demo."""
