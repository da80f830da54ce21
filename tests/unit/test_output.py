"""Types of answers: what the provider is told, and how its answer is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart
from typing_extensions import TypedDict

from cognition.domain.output import OUTPUT_TOOL, TEXT, output_type
from cognition.errors import ConfigurationError, OutputInvalid


class Ticket(BaseModel):
    """A support ticket."""

    topic: Literal["bill", "bug"]
    urgent: bool = False


class Thread(BaseModel):
    """A ticket and the answers to it."""

    ticket: Ticket
    answers: list[Thread] = []


@dataclass
class Point:
    """A place on a map."""

    x: int
    y: int


class Person(TypedDict):
    """Somebody."""

    name: str


class Invoice(BaseModel):
    """Strict about its types."""

    model_config = ConfigDict(strict=True, extra="forbid")

    due: date
    total: Decimal
    lines: tuple[str, ...] = ()


class Colour(Enum):
    """A colour."""

    RED = "red"


Topics = Annotated[list[Literal["bill", "bug"]], Field(max_length=2)]
Pet = Annotated[Ticket | Person, Field(union_mode="left_to_right")]


def a_call(arguments: str | dict[str, Any]) -> ModelResponse:
    """Return an answer by the output tool."""
    return ModelResponse([ThinkingPart("hm"), ToolCallPart(OUTPUT_TOOL, arguments)], model_name="m", provider_name="p")


def a_text(text: str) -> ModelResponse:
    """Return an answer as text."""
    return ModelResponse([TextPart(text)], model_name="m", provider_name="p")


CASES: Sequence[tuple[Any, str, Any]] = [
    (Ticket, '{"topic": "bug"}', Ticket(topic="bug")),
    (Thread, '{"response": {"ticket": {"topic": "bug"}, "answers": []}}', Thread(ticket=Ticket(topic="bug"))),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (Person, '{"name": "Ada"}', {"name": "Ada"}),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (Literal["bill", "bug"], '{"response": "bug"}', "bug"),
    (list[Ticket], '{"response": [{"topic": "bug"}]}', [Ticket(topic="bug")]),
    (list[Point], '{"response": [{"x": 1, "y": 2}]}', [Point(1, 2)]),
    (Topics, '{"response": ["bug"]}', ["bug"]),
    (Ticket | None, '{"response": null}', None),
    (Pet, '{"response": {"name": "Ada"}}', {"name": "Ada"}),
    (int, '{"response": 7}', 7),
    (bool, '{"response": true}', True),
    (Colour, '{"response": "red"}', Colour.RED),
    (Annotated[int, ["unhashable"]], '{"response": 7}', 7),
    (Invoice, '{"due": "2026-11-22", "total": "9.50"}', Invoice(due=date(2026, 11, 22), total=Decimal("9.50"))),
]


@pytest.mark.parametrize(("output", "answer", "value"), CASES, ids=[str(case[0]) for case in CASES])
def test_answers_of_every_type_are_read(output: Any, answer: str, value: Any) -> None:
    """The same value comes out of the output tool's arguments, parsed or not, and of plain JSON text."""
    kind = output_type(output)
    assert value == kind.parse(a_call(answer))
    assert value == kind.parse(a_text(answer))


@pytest.mark.parametrize("output", [case[0] for case in CASES], ids=[str(case[0]) for case in CASES])
def test_every_schema_has_an_object_at_the_top(output: Any) -> None:
    """Providers accept nothing else, and every reference in it must lead somewhere."""
    parameters = output_type(output).parameters
    (tool,) = parameters.output_tools
    assert parameters.output_object is not None
    assert tool.parameters_json_schema == parameters.output_object.json_schema
    assert tool.parameters_json_schema["type"] == "object"
    assert "_Wrapper" not in str(parameters)
    text = str(tool.parameters_json_schema)
    assert ("#/$defs/" in text) == ("$defs" in tool.parameters_json_schema)
    assert (parameters.output_mode, parameters.allow_text_output, tool.kind) == ("auto", False, "output")


def test_a_model_is_described_to_the_provider() -> None:
    """Name and docstring of the type help the model; they are not repeated in the schema."""
    described = output_type(Ticket).parameters.output_object
    assert described is not None
    assert (described.name, described.description) == ("Ticket", "A support ticket.")
    assert {"title", "description"}.isdisjoint(described.json_schema)


def test_text_asks_for_nothing_special() -> None:
    """`str` needs neither schema nor tool."""
    assert output_type(str) is TEXT
    assert (TEXT.parameters.output_mode, TEXT.parameters.output_tools) == ("text", [])
    assert TEXT.parse(ModelResponse([TextPart("a"), TextPart("b")])) == "ab"
    assert TEXT.parse(ModelResponse([ToolCallPart("weather", {})])) == ""


def test_a_type_is_prepared_once() -> None:
    """Building a schema takes milliseconds, a call asks for it each time."""
    assert output_type(list[Ticket]) is output_type(list[Ticket])


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (Ticket, '{"topic": "weather-7731"}'),
        (Ticket, "topic: weather-7731"),
        (Ticket, '```json\n{"topic": "bug", "note": "weather-7731"}\n```'),
        (Ticket, '{"topic": "bug"'),
        (Ticket, ""),
        (Ticket, "[]"),
        (list[Ticket], '[{"topic": "bug"}]'),
        (Literal["a"], '{"response": "weather-7731"}'),
        (Invoice, '{"due": "2026-11-22", "total": "9.50", "weather-7731": 1}'),
        (dict[str, int], '{"weather-7731": "x"}'),
    ],
)
def test_an_answer_that_does_not_fit_is_not_quoted(output: Any, answer: str) -> None:
    """Strictly JSON and nothing but JSON; the error tells where, and nothing of what may be confidential."""
    for response in (a_text(answer), a_call(answer)) if answer else (a_text(answer),):
        with pytest.raises(OutputInvalid, match="does not fit the output type") as caught:
            output_type(output).parse(response)
        assert "7731" not in str(caught.value.to_dict())
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        assert (caught.value.provider, caught.value.model, caught.value.retryable) == ("p", "m", True)


def test_the_places_that_do_not_fit_are_named() -> None:
    """A few paths in the schema's own words are enough to find the fault."""
    with pytest.raises(OutputInvalid, match=r"type at response\.1\.topic, response\.2\.topic, response\.3\.topic, …;"):
        output_type(list[Ticket]).parse(a_text('{"response": [{"topic": "bug"}, {}, {}, {}, {}]}'))


def test_a_validator_of_ones_own_may_refuse() -> None:
    """The type's checks are the user's, its messages may quote and are left out."""

    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def check(cls, number: int) -> int:
            """Refuse odd numbers."""
            if number % 2:
                raise ValueError(f"{number} is odd")
            return number

    with pytest.raises(OutputInvalid, match="type at number;"):
        output_type(Even).parse(a_text('{"number": 7731}'))


@pytest.mark.parametrize("output", [object(), 5, "Ticket", type, property])
def test_a_type_without_a_schema_is_refused(output: Any) -> None:
    """The sentence says what to use instead."""
    with pytest.raises(ConfigurationError, match="has no JSON schema; use str, a pydantic model"):
        output_type(output)
