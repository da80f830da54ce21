"""Money is Decimal from edge to edge: nothing that is named as money is a float anywhere, nor becomes one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("cognition", "blocks", "flows", "migrations", "benchmarks")

# A share of a limit, such as `soft_limit`, is no money.
_MONEY = re.compile(r"(^|_)usd$|^(cost|limit|price|amount|saving)s?$")
_FLOATS = frozenset({"float", "Float", "Double", "REAL", "DOUBLE_PRECISION"})
_IN_SQL = re.compile(r"\b\w*usd\s*(::|\s)\s*(double|real|float)", re.IGNORECASE)


def floats_named_money(tree: ast.AST) -> Iterator[int]:
    """Return the lines on which something that is named as money is a float."""
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=target, annotation=kind, value=value):
                wrong = _is_money(target) and (_is_float(kind) or _is_float_literal(value))
            case ast.arg(arg=name, annotation=ast.expr() as kind):
                wrong = _is_money_name(name) and _is_float(kind)
            case ast.FunctionDef(name=name, returns=ast.expr() as kind):
                wrong = _is_money_name(name) and _is_float(kind)
            case ast.Assign(targets=targets, value=value):
                wrong = any(_is_money(target) for target in targets) and _is_float_literal(value)
            case ast.keyword(arg=str(name), value=value):
                wrong = _is_money_name(name) and _is_float_literal(value)
            case ast.Call():
                wrong = _makes_float(node)
            case _:
                wrong = False
        if wrong:
            yield getattr(node, "lineno", 0)


def _makes_float(call: ast.Call) -> bool:
    """Whether a call converts money, or is the column of a table that keeps it as a float."""
    first = call.args[0] if call.args else None
    if isinstance(call.func, ast.Name) and call.func.id == "float":
        return first is not None and _is_money(first)
    named = isinstance(first, ast.Constant) and isinstance(first.value, str) and _is_money_name(first.value)
    return named and any(_is_float(argument) for argument in call.args[1:])


def _is_money(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return _is_money_name(name)
        case _:
            return False


def _is_money_name(name: str) -> bool:
    return _MONEY.search(name) is not None


def _is_float(node: ast.AST) -> bool:
    named = (child for child in ast.walk(node) if isinstance(child, ast.Name | ast.Attribute))
    return any((child.id if isinstance(child, ast.Name) else child.attr) in _FLOATS for child in named)


def _is_float_literal(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


@pytest.mark.parametrize("folder", SOURCES)
def test_money_is_never_a_float(folder: str) -> None:
    """Neither a field, a parameter, an answer, a column nor a conversion."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in floats_named_money(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert [] == found


def test_money_is_never_a_float_in_sql() -> None:
    """PostgreSQL adds `numeric` exactly and `double precision` not."""
    files = sorted((ROOT / "migrations").rglob("*.sql"))

    assert [] == [f"{path.name}: {match[0]}" for path in files for match in _IN_SQL.finditer(path.read_text())]
    assert len(files) > 20


@pytest.mark.parametrize(
    "wrong",
    [
        "cost_usd: float",
        "limit: float | None = None",
        "def spend(amount_usd: float) -> None: ...",
        "def spend(*, price: Decimal | float) -> None: ...",
        "def cost_usd(self) -> float: ...",
        "total = float(row.cost_usd)",
        "total = float(row['cost_usd'])",
        "total = float(usd)",
        "limit_usd = 0.5",
        "Budget(limit_usd=0.5)",
        "Column('cost_usd', Double, nullable=True)",
        "Column('cost_usd', sa.Float())",
    ],
)
def test_a_float_is_found(wrong: str) -> None:
    """Wherever it stands."""
    assert [1] == list(floats_named_money(ast.parse(wrong)))


@pytest.mark.parametrize(
    "right",
    [
        "cost_usd: Decimal",
        "soft_limit: float = 0.8",
        "limit: int = 100",
        "def purge(limit: int) -> float: ...",
        "seconds = float(wait)",
        "Budget(limit_usd='0.5', soft_limit=0.8)",
        "Column('latency_ms', Double)",
        "Column('cost_usd', Numeric(20, 9))",
    ],
)
def test_other_floats_are_none_of_its_business(right: str) -> None:
    """A share is a float, and a limit of rows is a number."""
    assert [] == list(floats_named_money(ast.parse(right)))


@pytest.mark.parametrize("wrong", ["used_usd double precision,", "sum(used_usd::float8)", "cost_USD REAL NOT NULL"])
def test_a_float_is_found_in_sql(wrong: str) -> None:
    """As a column or as a cast."""
    assert _IN_SQL.search(wrong)
    assert not _IN_SQL.search("used_usd numeric(20, 9), latency_ms double precision")
