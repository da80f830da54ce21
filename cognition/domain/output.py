"""The type that an answer must have: its JSON schema for the provider, and its check on the way back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from cognition.errors import ConfigurationError, OutputInvalid

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

# The name that pydantic-ai gives its output tool; models tuned on it answer better.
OUTPUT_TOOL = "final_result"

# Providers accept only objects at the top of a schema, so every other type travels inside one.
_WRAPPER = "response"


@dataclass(frozen=True, slots=True, eq=False)
class OutputType:
    """How answers of one Python type are asked for and read.

    Attributes:
        adapter: Checks and builds the value; None for plain text.
        wrapped: Whether the value travels inside an object with one field.
        parameters: What the provider is told about tools and output.
    """

    adapter: TypeAdapter[Any] | None
    wrapped: bool
    parameters: ModelRequestParameters

    def parse(self, response: ModelResponse) -> Any:  # noqa: ANN401  the type is only known at run time
        """Return the answer as a value of the type.

        Raises:
            OutputInvalid: The answer is not JSON, does not fit the schema, or holds no text where text was asked for.
        """
        if self.adapter is None:
            return response.text or ""
        try:
            value: Any = self.adapter_input(response)
            return self.adapter.validate_python(value[_WRAPPER] if self.wrapped else value)
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            # The text of a pydantic error quotes the answer, which may be confidential: only the places are told.
            where = (
                ", ".join(".".join(map(str, e["loc"])) for e in error.errors())
                if isinstance(error, ValidationError)
                else ""
            )
            place = f" at {where}" if where else ""
            message = f"The answer does not fit the output type{place}; ask again or loosen the type."
            raise OutputInvalid(
                message, provider=response.provider_name or "", model=response.model_name or "", status=None
            ) from None

    def adapter_input(self, response: ModelResponse) -> Any:  # noqa: ANN401  any JSON value
        """Return the JSON value in the answer: the arguments of the output tool, else the text."""
        call = next((call for call in response.tool_calls if call.tool_name == OUTPUT_TOOL), None)
        if call is not None:
            return call.args_as_dict(raise_if_invalid=True)
        return json.loads(response.text or "")


TEXT = OutputType(adapter=None, wrapped=False, parameters=ModelRequestParameters())


def output_type(output: Any) -> OutputType:  # noqa: ANN401  Literal and list[...] are no classes
    """Return how answers of a Python type are asked for and read.

    Args:
        output: `str`, or any type pydantic can check: a model, dataclass, TypedDict, Literal, or list of them.

    Raises:
        ConfigurationError: Pydantic cannot make a JSON schema of the type.
    """
    if output is str:
        return TEXT
    try:
        return _cached_output_type(output)
    except TypeError:
        # Unhashable annotations exist (Annotated with a list in it); they only cost a new adapter each time.
        return _output_type(output)


def _output_type(output: Any) -> OutputType:  # noqa: ANN401  as above
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(output)
        schema = adapter.json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        name = getattr(output, "__name__", repr(output))
        message = (
            f"The output type {name} has no JSON schema; "
            "use str, a pydantic model, dataclass, TypedDict, Literal or a list of them."
        )
        raise ConfigurationError(message) from error
    wrapped = schema.get("type") != "object"
    if wrapped:
        definitions = schema.pop("$defs", None)
        schema = {
            "type": "object",
            "properties": {_WRAPPER: schema},
            "required": [_WRAPPER],
            "additionalProperties": False,
        }
        if definitions:
            schema["$defs"] = definitions
    name, description = schema.pop("title", None), schema.pop("description", None)
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
    return OutputType(adapter=adapter, wrapped=wrapped, parameters=parameters)


_cached_output_type = lru_cache(maxsize=256)(_output_type)
