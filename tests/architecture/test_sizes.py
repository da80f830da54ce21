"""The size check finds what it should and nothing else."""

from pathlib import Path

import pytest

from tests.architecture.sizes import Module, offences, percentile, read_module


def module_of(folder: Path, text: str) -> Module:
    """Write `text` as a module and measure it."""
    path = folder / "module.py"
    path.write_text(text, encoding="utf-8")
    return read_module(path, folder)


def body(lines: int, indent: str = "    ") -> str:
    """Return a function body of `lines` lines."""
    return f"{indent}pass\n" * lines


def test_a_module_within_the_limits_is_no_offence(tmp_path: Path) -> None:
    """A function of 35 lines with five parameters passes."""
    module = module_of(tmp_path, "def f(a, b, *, c, d, e, **rest):\n" + body(34))

    assert [] == list(offences([module]))


def test_a_long_function_is_named_with_its_place(tmp_path: Path) -> None:
    """A function of 51 lines is reported with file, line and qualified name."""
    short = "".join(f"def f{number}(): pass\n" for number in range(30))
    module = module_of(tmp_path, short + "class C:\n    async def g(self):\n" + body(50, indent=" " * 8))

    assert ["module.py:32: 51 lines in module.C.g, at most 50"] == list(offences([module]))


def test_a_long_module_is_an_offence(tmp_path: Path) -> None:
    """A module of 401 lines is reported, beside modules that keep the median low."""
    small = module_of(tmp_path, "x = 1\n")
    large = module_of(tmp_path, "x = 1\n" * 401)

    assert ["module.py:1: 401 lines in a module, at most 400"] == list(offences([small, small, large]))


def test_a_high_median_is_an_offence(tmp_path: Path) -> None:
    """Modules that are all medium-sized break the median."""
    module = module_of(tmp_path, "x = 1\n" * 151)

    assert ["median of 151 lines a module, at most 150"] == list(offences([module, module, module]))


def test_many_long_functions_break_the_percentile(tmp_path: Path) -> None:
    """Two functions of 36 lines among twenty are more than one in twenty."""
    short = "".join(f"def f{number}(): pass\n" for number in range(18))
    module = module_of(tmp_path, short + ("def g():\n" + body(35)) * 2)

    assert ["95th percentile of 36 lines a function, at most 35"] == list(offences([module]))


@pytest.mark.parametrize(
    "signature",
    [
        "def f(a, b, c, d, e, f): pass",
        "def f(a, /, b, *, c, d, e, f): pass",
        "async def f(*, a, b, c, d, e, f): pass",
    ],
)
def test_parameters_of_every_kind_count(tmp_path: Path, signature: str) -> None:
    """Positional-only, ordinary and keyword-only parameters count alike."""
    module = module_of(tmp_path, signature)

    assert ["module.py:1: 6 parameters of module.f, at most 5"] == list(offences([module]))


def test_self_does_not_count_but_a_first_parameter_of_a_function_does(tmp_path: Path) -> None:
    """Only methods have a bound first parameter."""
    module = module_of(
        tmp_path,
        "class C:\n    def m(self, a, b, c, d, e): pass\ndef f(self, a, b, c, d, e): pass\n",
    )

    assert ["module.py:3: 6 parameters of module.f, at most 5"] == list(offences([module]))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("cognition/runtime.py", "cognition.runtime.f"),
        ("cognition/cli/__init__.py", "cognition.cli.f"),
        ("blocks/cognition_blocks/llm.py", "cognition_blocks.llm.f"),
    ],
)
def test_a_function_is_named_as_it_is_imported(tmp_path: Path, path: str, expected: str) -> None:
    """Source roots and `__init__` are no part of a name."""
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text("def f(): pass\n", encoding="utf-8")

    assert [expected] == [function.name for function in read_module(file, tmp_path).functions]


@pytest.mark.parametrize(("share", "expected"), [(0.95, 19), (0.5, 10), (1.0, 20), (0.01, 1)])
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    """Of 1 to 20, the 95th percentile is 19."""
    assert expected == percentile(range(20, 0, -1), share)
