"""Commands with many options, which are the fields of one dataclass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter, Signature, getdoc
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


def command_of(options: type[T], run: Callable[[T], None]) -> Callable[..., None]:
    """Return a command for typer.

    Args:
        options: A dataclass; each field is annotated as a parameter of a command would be.
        run: What the command does; its docstring is the help.
    """

    def command(**values: Any) -> None:
        run(options(**values))

    hints = get_type_hints(options, include_extras=True)
    parameters = [
        Parameter(
            one.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(options)  # pyright: ignore[reportArgumentType]  a dataclass, which a bound cannot say
    ]
    command.__signature__ = Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]  inspect reads it
    # typer keeps the line breaks of later paragraphs, which are those of the source.
    command.__doc__ = "\n\n".join(" ".join(part.split()) for part in (getdoc(run) or "").split("\n\n"))
    return command
