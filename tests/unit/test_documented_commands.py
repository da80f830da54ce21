"""Every command, variable and piece of YAML in the documents is one that there is.

The pieces of Python run in `acceptance/test_documented_python.py`; a block in another language needs a reason here.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement
from prefect.cli._app import _app as prefect_app  # pyright: ignore[reportPrivateUsage]  it has no public name

from cognition.cli import with_other_packages
from cognition.settings import Settings
from tests.snippets import DOCUMENTS, ROOT, Snippet, blocks, commands

CONSOLE: Final = [one for one in blocks() if one.language == "console"]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")

NOT_RUN: Final = {"markdown": "it shows how a line of the changelog looks"}

# "`COGNITION_CACHE__L1_TTL`, `__L2_TTL`": the second stands for all but the last part of the first.
_VARIABLES = re.compile(r"`(COGNITION_[A-Z0-9_]+)`((?:, `__[A-Z0-9_]+`)*)")


@pytest.fixture(scope="module")
def cognition() -> Any:
    """Return the whole command line, as click has it."""
    return typer.main.get_command(with_other_packages())


def lines(snippet: Snippet) -> list[list[str]]:
    """Return the commands of a block, as words, without what the shell makes of them."""
    typed = [line.removeprefix("$ ") for line in snippet.text.splitlines() if line.strip()]
    parts = [part for line in typed for part in re.split(r" && | &(?= |$)", line.split(" # ")[0])]
    return [shlex.split(part) for part in parts if part.strip()]


def parse_cognition(command: Any, words: Sequence[str]) -> None:
    """Parse a command of ours, without running it; what is wrong raises."""
    command, rest = leaf_of(command, words)
    command.make_context(command.name, rest)


def leaf_of(command: Any, words: Sequence[str]) -> tuple[Any, list[str]]:
    """Return the command that is meant, and what stands behind it."""
    rest = list(words)
    while hasattr(command, "commands") and rest:
        command = command.commands[rest.pop(0)]
    return command, rest


def parse_prefect(words: Sequence[str]) -> None:
    """Parse a command of Prefect, without running it; what is wrong raises."""
    prefect_app.meta.parse_args(words, print_error=False, exit_on_error=False)
    rest = [word for word in words if word != "--no-prompt"]
    prefect_app.parse_args(rest, print_error=False, exit_on_error=False)


def check_make(words: Sequence[str]) -> None:
    """Look a target up."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(words) <= set(targets)


def check_pip(words: Sequence[str]) -> None:
    """Compare what is installed with what the project declares: its extras, and the models' versions."""
    assert "install" == words[0]
    project = PROJECT["project"]
    for word in words[1:]:
        if word != "--no-deps":
            wanted = Requirement(word)
            if wanted.name == project["name"]:
                assert wanted.extras <= project["optional-dependencies"].keys()
            else:
                assert str(wanted) in PROJECT["dependency-groups"]["local-model"]


def check_variable(words: Sequence[str]) -> None:
    """Look a variable up."""
    (assignment,) = words
    assert_known(assignment.partition("=")[0])


def assert_known(variable: str) -> None:
    """Fail where no setting reads a variable."""
    if variable != "COGNITION_WORK_POOL":  # of `cognition deploy` and prefect.yaml
        attrgetter(variable.removeprefix("COGNITION_").lower().replace("__", "."))(Settings())


PROGRAMS: Final[dict[str, Callable[[Sequence[str]], None]]] = {
    "export": check_variable,
    "make": check_make,
    "pip": check_pip,
    "prefect": parse_prefect,
}


def test_every_block_is_looked_at() -> None:
    """Python runs, commands and YAML are parsed, and whatever else there is has its reason."""
    assert {"python", "console", "yaml"} == {one.language for one in blocks()} - NOT_RUN.keys()


@pytest.mark.parametrize("snippet", CONSOLE, ids=lambda one: one.place)
def test_commands_can_be_typed(snippet: Snippet, cognition: Any) -> None:
    """The program knows the command, its options and what it needs."""
    for words in lines(snippet):
        while "=" in words[0]:
            assert_known(words.pop(0).partition("=")[0])
        program, *rest = words
        if program == "cognition":
            parse_cognition(cognition, rest)
        else:
            PROGRAMS[program](rest)


@pytest.mark.parametrize("snippet", commands(), ids=lambda one: one.place)
def test_commands_in_sentences_exist(snippet: Snippet, cognition: Any) -> None:
    """With every option that is named; what stands for a value, or may be left out, is of the document."""
    # Of `raise|reset|transfer` the first; what is in brackets may be left out, and exists all the same.
    _, *words = [word.partition("|")[0] for word in re.sub(r"[\[\]]", "", snippet.text).split()]
    command, rest = leaf_of(cognition, words)

    known = {option for one in command.params for option in one.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_every_command_is_in_the_table(cognition: Any) -> None:
    """A command that nobody reads of is not used."""
    table = README.partition("\n## Commands\n")[2].partition("\n## ")[0]
    words = {word for code in re.findall(r"`([^`]+)`", table) for word in re.split(r"[ |\\]+", code)}
    missing = [
        f"{name} {leaf}".strip()
        for name, command in cognition.commands.items()
        for leaf in getattr(command, "commands", {"": None})
        if (leaf or name) not in words
    ]

    assert [] == missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_variables_are_read(document: Path) -> None:
    """By a setting of that name."""
    for first, others in _VARIABLES.findall(document.read_text(encoding="utf-8")):
        assert_known(first)
        for other in re.findall(r"__[A-Z0-9_]+", others):
            assert_known(first.rpartition("__")[0] + other)


@pytest.mark.parametrize("snippet", [one for one in blocks() if one.language == "yaml"], ids=lambda one: one.place)
def test_yaml_is_of_a_deployment(snippet: Snippet) -> None:
    """A work pool, with variables that are settings."""
    pool = yaml.safe_load(snippet.text)["work_pool"]

    assert {"name", "job_variables"} == pool.keys()
    for variable in pool["job_variables"]["env"]:
        assert_known(variable)
