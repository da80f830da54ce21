"""The type that an answer must have: its JSON schema for the provider, and its check on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

from pydantic import (
    PydanticSchemaGenerationError,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition
from typing_extensions import TypedDict

from cognition.errors import ConfigurationError, OutputInvalid

# The name that pydantic-ai gives its output tool; models tuned on it answer better.
OUTPUT_TOOL = "final_result"

_MOST_PLACES = 3

T = TypeVar("T")


class _Wrapper(TypedDict, Generic[T]):
    """Providers accept only objects at the top of a schema, so every other type travels inside one."""

    response: T


@dataclass(frozen=True, slots=True, eq=False)
class OutputType:
    """How answers of one Python type are asked for and read.

    Attributes:
        adapter: Checks and builds the value; None for plain text.
        wrapped: Whether the value travels inside an object with one field.
        parameters: What the provider is told about tools and output.
        names: Names in the schema, which an error may tell.
    """

    adapter: TypeAdapter[Any] | None
    wrapped: bool
    parameters: ModelRequestParameters
    names: frozenset[str] = frozenset()

    @property
    def is_text(self) -> bool:
        """Whether any answer fits, because it is taken as plain text."""
        return self.adapter is None

    def parse(self, response: ModelResponse) -> Any:
        """Return the answer as a value of the type; as text it may be empty, when the model only called tools.

        Raises:
            OutputInvalid: The answer is not JSON or does not fit the schema.
        """
        if self.adapter is None:
            return response.text or ""
        try:
            # JSON all the way: pydantic reads more from it than from Python values, such as a date in strict mode.
            value: Any = self.adapter.validate_json(_json_in(response))
        except ValidationError as error:
            # The text of a pydantic error quotes the answer, which may be confidential: only the places are told.
            message = f"The answer does not fit the output type{self._places(error)}; ask again or loosen the type."
            raise OutputInvalid(
                message, provider=response.provider_name or "", model=response.model_name or "", status=None
            ) from None
        return value["response"] if self.wrapped else value

    def fits(self, response: ModelResponse) -> bool:
        """Whether a stored answer may still be given: the type's checks may have become stricter without its schema."""
        try:
            self.parse(response)
        except OutputInvalid:
            return False
        return True

    def _places(self, error: ValidationError) -> str:
        """Return where an answer is wrong, without names that it made up."""
        paths = (
            ".".join(str(step) if isinstance(step, int) or step in self.names else "…" for step in detail["loc"])
            for detail in error.errors(include_url=False, include_context=False, include_input=False)
        )
        places = list(dict.fromkeys(path for path in paths if path))
        more = ", …" if len(places) > _MOST_PLACES else ""
        return f" at {', '.join(places[:_MOST_PLACES])}{more}" if places else ""


TEXT = OutputType(adapter=None, wrapped=False, parameters=ModelRequestParameters())


def output_type(output: Any) -> OutputType:
    """Return how answers of a Python type are asked for and read.

    Args:
        output: `str`, or any type pydantic can check: a model, dataclass, TypedDict, Literal, or list of them.

    Raises:
        ConfigurationError: Pydantic cannot make a JSON schema of the type.
    """
    if output is str:
        return TEXT
    try:
        hash(output)
    except TypeError:
        # Unhashable annotations exist (Annotated with a list in it); they only cost a new adapter each time.
        return _output_type(output)
    return _cached_output_type(output)


def _output_type(output: Any) -> OutputType:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(output)
        schema = adapter.json_schema()
        wrapped = schema.get("type") != "object"
        if wrapped:
            adapter = TypeAdapter(_Wrapper[output])  # pyright: ignore[reportInvalidTypeForm]  only known at run time
            schema = adapter.json_schema()
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError) as error:
        name = getattr(output, "__name__", repr(output))
        message = (
            f"The output type {name} has no JSON schema; use str, a pydantic model, dataclass, TypedDict"
            " (from typing_extensions before Python 3.12), Literal or a list of them."
        )
        raise ConfigurationError(message) from error
    name, description = schema.pop("title", None), schema.pop("description", None)
    if wrapped:
        # They are the wrapper's, of no use to the model.
        name = description = None
    parameters = ModelRequestParameters(
        output_mode="auto",
        allow_text_output=False,
        output_object=OutputObjectDefinition(json_schema=schema, name=name, description=description),
        output_tools=[
            ToolDefinition(
                name=OUTPUT_TOOL,
                parameters_json_schema=schema,
                description=description or "The final response which ends this conversation",
                kind="output",
            )
        ],
    )
    return OutputType(adapter=adapter, wrapped=wrapped, parameters=parameters, names=frozenset(_names_in(schema)))


_cached_output_type = lru_cache(maxsize=256)(_output_type)


def _json_in(response: ModelResponse) -> str:
    """Return the JSON text in an answer: the arguments of the output tool, else the text."""
    call = next((call for call in response.tool_calls if call.tool_name == OUTPUT_TOOL), None)
    return call.args_as_json_str() if call is not None else response.text or ""


def _names_in(schema: object) -> Iterator[str]:
    """Return the names of all fields of a JSON schema, and its own keywords."""
    if isinstance(schema, dict):
        for name, value in cast("dict[str, object]", schema).items():
            yield name
            yield from _names_in(value)
    elif isinstance(schema, list):
        for value in cast("list[object]", schema):
            yield from _names_in(value)
