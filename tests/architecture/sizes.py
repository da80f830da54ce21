"""The size limits of this project and the check that holds them: `python -m tests.architecture.sizes`.

Small units are what makes a code base readable in parts. Lines are physical lines, comments and docstrings included; a
function runs from `def` to its last line; a percentile is the nearest rank.
"""

import ast
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

MODULE_LINES_MEDIAN = 150
MODULE_LINES_MAX = 400
FUNCTION_LINES_P95 = 35
FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 5

GROUPS: Mapping[str, Sequence[str]] = {
    "source": ("cognition", "blocks", "flows", "migrations"),
    "tests": ("tests", "benchmarks"),
}
SOURCE_ROOTS = ("blocks", "flows", "migrations")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """One function or method as written."""

    name: str
    """Qualified by module, classes and enclosing functions, for example `cognition.runtime.Runtime.call`."""
    place: str
    """`path:line`, as editors understand it."""
    lines: int
    parameters: int
    """Without `self`, `cls`, `*args` and `**kwargs`."""


@dataclass(frozen=True)
class Module:
    """One Python file."""

    path: str
    lines: int
    functions: tuple[Function, ...]


def read_module(path: Path, root: Path) -> Module:
    """Measure one file; `root` is the folder its names are relative to."""
    text = path.read_text(encoding="utf-8")
    relative = path.relative_to(root)
    found = tuple(_functions(ast.parse(text), _import_name(relative), str(relative)))
    return Module(path=str(relative), lines=len(text.splitlines()), functions=found)


def _import_name(relative: Path) -> str:
    parts = relative.with_suffix("").parts
    return ".".join(part for part in parts[parts[0] in SOURCE_ROOTS :] if part != "__init__")


def _functions(node: ast.AST, scope: str, path: str) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        name = f"{scope}.{child.name}" if isinstance(child, FunctionNode | ast.ClassDef) else scope
        if isinstance(child, FunctionNode):
            yield Function(
                name=name,
                place=f"{path}:{child.lineno}",
                lines=(child.end_lineno or child.lineno) - child.lineno + 1,
                parameters=_count_parameters(child.args, method=isinstance(node, ast.ClassDef)),
            )
        yield from _functions(child, name, path)


def _count_parameters(arguments: ast.arguments, *, method: bool) -> int:
    positional = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    bound = method and positional[:1] in (["self"], ["cls"])
    return len(positional) + len(arguments.kwonlyargs) - bound


def percentile(values: Sequence[int], share: float) -> int:
    """Return the nearest-rank percentile: the smallest value that at least `share` of all values do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1] if values else 0


def offences(modules: Sequence[Module]) -> Iterator[str]:
    """Say in one line each what is too large."""
    functions = [function for module in modules for function in module.functions]
    for module in modules:
        if module.lines > MODULE_LINES_MAX:
            yield f"{module.path}:1: {module.lines} lines in a module, at most {MODULE_LINES_MAX}"
    for function in functions:
        if function.lines > FUNCTION_LINES_MAX:
            yield f"{function.place}: {function.lines} lines in {function.name}, at most {FUNCTION_LINES_MAX}"
        if function.parameters > PARAMETERS_MAX:
            yield f"{function.place}: {function.parameters} parameters of {function.name}, at most {PARAMETERS_MAX}"
    if (middle := median(module.lines for module in modules)) > MODULE_LINES_MEDIAN:
        yield f"median of {middle:g} lines a module, at most {MODULE_LINES_MEDIAN}"
    if (tail := percentile([function.lines for function in functions], 0.95)) > FUNCTION_LINES_P95:
        yield f"95th percentile of {tail} lines a function, at most {FUNCTION_LINES_P95}"


def main(root: Path) -> int:
    """Check every group below `root`, print one summary line a group and the offenders, and return the exit code."""
    found: list[str] = []
    for group, folders in GROUPS.items():
        modules = [read_module(path, root) for folder in folders for path in sorted((root / folder).rglob("*.py"))]
        functions = [function for module in modules for function in module.functions]
        print(
            f"{group}: {len(modules)} modules, median {median(module.lines for module in modules):g} lines;"
            f" {len(functions)} functions, 95th percentile {percentile([item.lines for item in functions], 0.95)} lines"
        )
        found += offences(modules)
    for offence in found:
        print(offence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
