"""What `llm_task` makes of its function, as the type checker sees it; `make check` fails when a line is wrong."""

# An ignored error that no longer is one fails the check too.
# pyright: reportUnnecessaryTypeIgnoreComment=true

from dataclasses import dataclass
from typing import Any, Literal, assert_type

from prefect import Task
from pydantic import BaseModel
from pydantic_ai.messages import ModelRequest, UserPromptPart

from cognition import Completion
from cognition_blocks import CachedLLM, llm_task


class Triage(BaseModel):
    """An answer with a shape."""

    urgent: bool


@dataclass
class Point:
    """Another one."""

    x: int


@llm_task
def bare(name: str) -> str:
    """Return a prompt."""
    return name


@llm_task
async def bare_async(name: str) -> str:
    """Return a prompt."""
    return name


@llm_task(llm="support", output=Triage, namespace="triage", tags=["project:x"], retries=2)
def shaped(ticket: str, *, short: bool = False) -> str:
    """Return a prompt."""
    return ticket[:100] if short else ticket


@llm_task(output=Triage, returns="completion")
def whole(ticket: str) -> str:
    """Return a prompt."""
    return ticket


@llm_task(returns="completion")
def whole_text(ticket: str) -> str:
    """Return a prompt."""
    return ticket


@llm_task(output=list[Point])
async def shaped_async(ticket: str) -> str:
    """Return a prompt."""
    return ticket


@llm_task(output=Literal["yes", "no"])
def undescribable(ticket: str) -> str:
    """Return a prompt for an answer that `type[T]` cannot name."""
    return ticket


@llm_task()
def from_messages(text: str) -> list[ModelRequest]:
    """Return messages as the prompt."""
    return [ModelRequest(parts=[UserPromptPart(text)])]


def with_a_block(llm: CachedLLM) -> None:
    """A block's own decorator has the same types."""

    @llm.task(output=Triage)
    def ask(ticket: str) -> str:
        return ticket

    assert_type(ask("text"), Triage)
    assert_type(llm.complete("text"), Completion[str])
    assert_type(llm.complete("text", output=Triage), Completion[Triage])


def outputs() -> None:
    """Calls return the answer's type."""
    assert_type(bare("a"), str)
    assert_type(shaped("a", short=True), Triage)
    assert_type(whole("a"), Completion[Triage])
    assert_type(whole("a").output, Triage)
    assert_type(whole_text("a"), Completion[str])
    assert_type(undescribable("a"), Any)
    assert_type(from_messages("a"), str)
    submitted = bare.submit("a")  # pyright: ignore[reportUnknownMemberType]  Prefect types its overloads loosely
    assert_type(submitted.result(), str)
    assert_type(shaped.map(["a"]).result(), list[Triage])


async def async_outputs() -> None:
    """Awaited calls too."""
    assert_type(await bare_async("a"), str)
    assert_type(await shaped_async("a"), list[Point])


def parameters() -> None:
    """The prompt function's parameters are the task's; wrong ones are errors."""
    task: Task[[str], str] = bare
    assert_type(task("a"), str)
    bare(1)  # pyright: ignore[reportArgumentType]
    bare()  # pyright: ignore[reportCallIssue]
    shaped("a", long=True)  # pyright: ignore[reportCallIssue]


def options() -> None:
    """Misspelt and mistyped options are errors."""
    llm_task(outputs=Triage)  # pyright: ignore[reportCallIssue]
    llm_task(returns="answer")  # pyright: ignore[reportCallIssue, reportArgumentType]
    llm_task(cache="sometimes")  # pyright: ignore[reportArgumentType]
    llm_task(retries="two")  # pyright: ignore[reportArgumentType]


def prompt_functions() -> None:
    """A function that returns no prompt is an error."""

    def number() -> int:
        return 7

    llm_task(number)  # pyright: ignore[reportCallIssue, reportArgumentType]
    llm_task(output=Triage)(number)  # pyright: ignore[reportCallIssue, reportArgumentType]
