"""Orchestration against ports; what happens in which order."""
