"""The fake provider's default answers fit the schema that was asked for."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

from cognition.testing.schema_instance import minimal_instance


class _Leaf(BaseModel):
    kind: Literal["leaf"]
    weight: Annotated[float, Field(gt=0, lt=1)]


class _Tree(BaseModel):
    name: Annotated[str, Field(min_length=3)]
    children: list["_Tree"]
    leaf: _Leaf | None
    pair: tuple[int, str]
    at: dt.datetime
    note: str = "optional"


class _Row(TypedDict):
    id: uuid.UUID
    count: Annotated[int, Field(ge=5, multiple_of=4)]


@pytest.mark.parametrize(
    "wanted",
    [
        _Tree,
        _Row,
        Literal["urgent", "later"],
        Annotated[list[_Leaf], Field(min_length=2)],
        Annotated[int, Field(gt=5)],
        Annotated[int, Field(lt=-5)],
        Annotated[float, Field(le=-0.5)],
        bool,
        dt.date,
        None,
    ],
    ids=str,
)
def test_a_minimal_instance_is_valid_for_its_schema(wanted: Any) -> None:
    """What is made from a type's schema, pydantic accepts as a value of the type."""
    adapter: TypeAdapter[object] = TypeAdapter(wanted)

    made = minimal_instance(adapter.json_schema())

    adapter.validate_python(made, strict=False)


def test_optional_properties_are_left_out() -> None:
    """The instance is minimal: what has a default does not appear."""
    assert "note" not in TypeAdapter(dict[str, Any]).validate_python(minimal_instance(_Tree.model_json_schema()))


def test_a_pattern_is_refused() -> None:
    """Nothing is invented that might not match."""
    with pytest.raises(ValueError, match="pattern"):
        minimal_instance({"type": "string", "pattern": "^[a-z]{3}$"})
