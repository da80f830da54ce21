"""The demo's flow: what a user would write."""

from __future__ import annotations

from typing import Literal

from prefect import flow
from pydantic import BaseModel, Field

from cognition_blocks import attribute, llm_task

NAMESPACE = "cognition-demo"

Category = Literal["web", "data", "testing", "machine learning", "system", "development tool", "other"]


class Summary(BaseModel):
    """What a text is about."""

    # The limit also keeps a small model from never finding an end.
    sentence: str = Field(max_length=160, description="One short sentence that says what the text is about.")


@llm_task(namespace=NAMESPACE, output=Summary)
def summarise(text: str) -> str:
    """Return the prompt that asks for a summary."""
    return f"Summarise this text in one short sentence:\n\n{text}"


@llm_task(namespace=NAMESPACE, output=Category)
def classify(text: str) -> str:
    """Return the prompt that asks for a category."""
    return f"Choose the category that fits this text best:\n\n{text}"


@flow(name="cognition-demo")
def describe(texts: list[str]) -> list[tuple[str, str]]:
    """Summarise and classify each text."""
    with attribute(user="demo", team="cognition"):
        summaries = summarise.map(texts)
        categories = classify.map(texts)
    sentences = [summary.sentence for summary in summaries.result()]
    return list(zip(sentences, categories.result(), strict=True))
