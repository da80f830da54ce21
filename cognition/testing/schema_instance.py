"""A minimal value that is valid for a JSON schema."""

from collections.abc import Callable
from typing import Any, cast

from cognition.testing.fake_script import JsonObject

_STRINGS = {
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def minimal_instance(schema: JsonObject) -> object:
    """Return the smallest value that the schema admits: required properties, first alternatives, lower bounds.

    Args:
        schema: A JSON schema with local references only, such as pydantic makes.

    Raises:
        ValueError: If the schema asks for a pattern, which is not implemented.
    """
    return _instance(schema, schema)


def _instance(schema: JsonObject, root: JsonObject) -> object:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    alternatives: list[JsonObject] = schema.get("anyOf") or schema.get("oneOf") or []
    if alternatives:
        return _instance(alternatives[0], root)
    kinds: object = schema.get("type", "object" if "properties" in schema else "null")
    kind = str(cast(list[object], kinds)[0] if isinstance(kinds, list) else kinds)
    return _MAKERS[kind](schema, root)


def _object(schema: JsonObject, root: JsonObject) -> object:
    properties: dict[str, JsonObject] = schema.get("properties", {})
    return {name: _instance(properties.get(name, {}), root) for name in schema.get("required", [])}


def _array(schema: JsonObject, root: JsonObject) -> object:
    fixed: list[JsonObject] = schema.get("prefixItems", [])
    missing = max(schema.get("minItems", 0) - len(fixed), 0)
    return [_instance(item, root) for item in [*fixed, *[schema.get("items", {})] * missing]]


_MAKERS: dict[str, Callable[[JsonObject, JsonObject], object]] = {
    "object": _object,
    "array": _array,
    "string": lambda schema, _: _string(schema),
    "integer": lambda schema, _: int(_number(schema)),
    "number": lambda schema, _: float(_number(schema)),
    "boolean": lambda _schema, _root: False,
    "null": lambda _schema, _root: None,
}


def _resolved(schema: JsonObject, root: JsonObject) -> JsonObject:
    """Follow local references and merge `allOf`, so that one flat schema is left."""
    while "$ref" in schema:
        target: Any = root
        for name in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target[name] if name else target
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    for part in schema.get("allOf", []):
        merged = _resolved(part, root)
        schema = {
            **merged,
            **schema,
            "properties": {**merged.get("properties", {}), **schema.get("properties", {})},
            "required": [*merged.get("required", []), *schema.get("required", [])],
        }
    return schema


def _string(schema: JsonObject) -> str:
    if "pattern" in schema:
        raise ValueError("A fake reply cannot invent text for a pattern; script it with Reply(output=…).")
    text = _STRINGS.get(str(schema.get("format")), "")
    return text + "x" * (schema.get("minLength", 0) - len(text))


def _number(schema: JsonObject) -> float:
    """Return the lowest number within the bounds, 0 where there is no lower one."""
    step: float = 1  # how far to stay off an exclusive bound
    if "exclusiveMinimum" in schema and "exclusiveMaximum" in schema:
        step = min(step, (schema["exclusiveMaximum"] - schema["exclusiveMinimum"]) / 2)
    lowest = schema["exclusiveMinimum"] + step if "exclusiveMinimum" in schema else schema.get("minimum", 0)
    highest = schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else schema.get("maximum", lowest)
    value = min(lowest, highest)
    multiple = schema.get("multipleOf")
    return -(-value // multiple) * multiple if multiple else value
