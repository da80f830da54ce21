"""The demo's flow: what a user would write."""

from __future__ import annotations

from typing import Literal

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from cognition_blocks import attribute, llm_task

NAMESPACE = "cognition-demo"

Category = Literal["web", "data", "testing", "machine learning", "system", "development tool", "other"]


@llm_task(namespace=NAMESPACE)
def summarise(text: str) -> str:
    """Return the prompt that asks for a summary."""
    return f"Summarise this in one short sentence:\n\n{text}"


@llm_task(namespace=NAMESPACE, output=Category)
def classify(text: str) -> str:
    """Return the prompt that asks for a category."""
    return f"Choose the category that fits this text best:\n\n{text}"


@flow(name="cognition-demo", task_runner=ThreadPoolTaskRunner(max_workers=4))
def describe(texts: list[str]) -> list[tuple[str, str]]:
    """Summarise and classify each text."""
    with attribute(user="demo", team="cognition"):
        summaries = summarise.map(texts)
        categories = classify.map(texts)
    return list(zip(summaries.result(), categories.result(), strict=True))
