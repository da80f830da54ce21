"""What Prefect's UI makes of the fields of a block: one plain control for each, in an order for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

_Schema = dict[str, Any]


def form_of(schema: _Schema, order: Sequence[str], required: Sequence[str]) -> _Schema:
    """Return the schema of a block, made a form that people can fill in.

    A field that may be None would be a switch between a type and "None" before anybody can write a word. Here it is a
    field that may stay empty, which the UI then leaves out, so that it is None all the same.

    Args:
        schema: As Prefect makes it of the block.
        order: Names of all fields, or of none, which leaves them in the order of the class.
        required: Names of fields that have a default in the class, because every document must load, and that people
            must fill in all the same.
    """
    for model in [schema, *schema.get("definitions", {}).values()]:
        properties = cast("dict[str, _Schema]", model.get("properties", {}))
        properties.update({name: _without_none(field) for name, field in properties.items()})
    for position, name in enumerate(order):
        schema["properties"][name]["position"] = position
    if required:
        schema["required"] = [*required]
        for name in required:
            del schema["properties"][name]["default"]  # of which the form would make a value that was given
    return schema


def _without_none(field: _Schema) -> _Schema:
    """Return a field that has one type only, when the other one was None."""
    options = [option for option in cast("list[_Schema]", field.get("anyOf", [])) if option.get("type") != "null"]
    if len(options) != 1:
        return field
    # What the field itself says of title and description comes before what its type says.
    return {**options[0], **{key: value for key, value in field.items() if key not in {"anyOf", "default"}}}
