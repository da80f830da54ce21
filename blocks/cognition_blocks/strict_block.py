"""What our blocks have in common: a misspelt field is an error, and the UI has a form for them."""

from __future__ import annotations

from typing import Any, ClassVar, Self, cast

from prefect.blocks.core import Block
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from cognition.errors import ConfigurationError
from cognition_blocks.form import form_of

# Prefect's own key in the data of nested blocks.
_TYPE = "block_type_slug"


class StrictBlock(Block):
    """A block that refuses fields it does not have, which Prefect would keep and nobody would read.

    A document may have them all the same: it was saved by a newer version of ours. They are left out.
    """

    _form_order: ClassVar[tuple[str, ...]] = ()
    _form_required: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **fields: Any) -> None:
        """Make a block of its fields.

        Raises:
            ConfigurationError: A field is unknown; the sentence names those there are.
        """
        if unknown := [name for name in fields if name not in self._accepted()]:
            known = ", ".join(type(self).model_fields)
            raise ConfigurationError(f"{type(self).__name__} has no field {', '.join(unknown)}; it has {known}.")
        super().__init__(**fields)

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Make a block of the data of a document, which Prefect loads this way; what is unknown is left out."""
        if isinstance(obj, dict):
            data = cast("dict[str, Any]", obj)
            obj = {name: value for name, value in data.items() if name in cls._accepted()}
        return super().model_validate(obj, **options)

    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return what Prefect's server keeps of the fields, of which its UI makes a form."""
        return form_of(super().model_json_schema(*arguments, **options), cls._form_order, cls._form_required)

    @classmethod
    def _accepted(cls) -> set[str]:
        return {_TYPE}.union(*(_names_of(name, field) for name, field in cls.model_fields.items()))


def _names_of(name: str, field: FieldInfo) -> set[str]:
    """Return the names under which a field may be given."""
    other = field.validation_alias
    return {name, *(str(choice) for choice in other.choices)} if isinstance(other, AliasChoices) else {name}
