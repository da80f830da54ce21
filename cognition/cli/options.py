"""Commands with many options, which are the fields of one dataclass; and their errors, which name those options."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from inspect import Parameter, Signature, getdoc
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_type_hints

from cognition.errors import ConfigurationError

T = TypeVar("T")

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def command_of(options: type[T], run: Callable[[T], None], names: Mapping[str, str] = _NONE) -> Callable[..., None]:
    """Return a command for typer.

    Args:
        options: A dataclass; each field is annotated as a parameter of a command would be.
        run: What the command does; its docstring is the help.
        names: Parameters of the engine that errors may name, and the options that stand for them.
    """

    def command(**values: Any) -> None:
        with naming_options(names):
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


@contextmanager
def naming_options(names: Mapping[str, str]) -> Generator[None]:
    """Let errors name what was typed, where the engine names its parameters.

    Args:
        names: The parameters, and the options that stand for them.
    """
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(_with_options(str(error), names)) from error


def _with_options(sentence: str, names: Mapping[str, str]) -> str:
    for name, option in names.items():
        # subject='nightly', length=timedelta(hours=24), above=0.0
        given = rf"\b{name}=(?:'([^']*)'|timedelta\(hours=(\d+)\)|(-?\d+(?:\.\d+)?))"
        sentence = re.sub(given, lambda found, option=option: f"{option} {found[1] or found[2] or found[3]}", sentence)
        # A name of one word is that word everywhere else; what stands in quotes was typed.
        mention = rf"\b{name}\b" if "_" in name else rf"^{name}(?= is )"
        said = re.split(r"('[^']*')", sentence)
        said[::2] = [re.sub(mention, option, part) for part in said[::2]]
        sentence = "".join(said)
    return sentence
