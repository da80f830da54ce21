"""The demo's flows: what a user would write, and the same questions in other words."""

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


def reworded_summary(text: str) -> str:
    """Return another prompt that asks for a summary."""
    return f"Please give a summary of the following text in one short sentence:\n\n{text}"


def reworded_category(text: str) -> str:
    """Return another prompt that asks for the category."""
    return f"Which category fits this text best?\n\n{text}"


def longer_summary(text: str) -> str:
    """Return a prompt that looks the same and asks for something else."""
    return f"Summarise this text in two short sentences:\n\n{text}"


def worst_category(text: str) -> str:
    """Return a prompt that looks the same and asks for the contrary."""
    return f"Choose the category that fits this text worst:\n\n{text}"


ask_summary = llm_task(namespace=NAMESPACE, output=Summary)
ask_category = llm_task(namespace=NAMESPACE, output=Category)


@flow(name="cognition-demo")
def describe(texts: list[str]) -> list[tuple[str, str]]:
    """Summarise and classify each text."""
    with attribute(user="demo", team="cognition"):
        summaries = summarise.map(texts)
        categories = classify.map(texts)
    sentences = [summary.sentence for summary in summaries.result()]
    return list(zip(sentences, categories.result(), strict=True))


@flow(name="cognition-demo-reworded")
def describe_again(texts: list[str], others: list[str]) -> None:
    """Ask the same of each text in other words, and something else of a few."""
    with attribute(user="demo", team="cognition"):
        asked = [ask_summary(reworded_summary).map(texts), ask_category(reworded_category).map(texts)]
        asked += [ask_summary(longer_summary).map(others), ask_category(worst_category).map(others)]
    for answers in asked:
        answers.wait()
