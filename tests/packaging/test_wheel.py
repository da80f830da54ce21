"""The built wheel holds the four packages and works without the source."""

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from cognition.testing import FakeOpenAI, temporary_home

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "cognition": ROOT / "cognition",
    "cognition_blocks": ROOT / "blocks" / "cognition_blocks",
    "cognition_flows": ROOT / "flows" / "cognition_flows",
    "cognition_migrations": ROOT / "migrations" / "cognition_migrations",
}


def run(wheel_python: Path, program: str) -> str:
    """Run a program in the new environment, away from the repository, and return what it printed."""
    done = subprocess.run(
        [wheel_python, "-I", "-c", program], cwd=wheel_python.parent, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_wheel_holds_every_file_of_the_four_packages_and_no_other(wheel: Path) -> None:
    """Lua, SQL and py.typed files travel with the code; tests and benchmarks do not."""
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert expected == packed


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_is_imported_from_the_wheel(wheel_python: Path, package: str) -> None:
    """Every package can be imported where only the wheel is installed."""
    place = run(wheel_python, f"import {package}; print({package}.__file__)")

    assert Path(place).is_relative_to(wheel_python.parent.parent)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_says_that_it_is_typed(wheel: Path, package: str) -> None:
    """Type checkers of users read our annotations."""
    with zipfile.ZipFile(wheel) as archive:
        assert f"{package}/py.typed" in archive.namelist()


def test_prefect_finds_the_blocks(wheel_python: Path) -> None:
    """Prefect loads the collection by its entry point, which registers the block types."""
    program = "from prefect.plugins import load_prefect_collections; print(*load_prefect_collections())"

    assert "cognition" in run(wheel_python, program).split()


def test_the_command_line_is_installed(wheel_python: Path) -> None:
    """The script `cognition` starts and explains itself."""
    script = wheel_python.with_name("cognition")

    done = subprocess.run([script, "--help"], cwd=wheel_python.parent, check=True, capture_output=True, text=True)

    assert "demo" in done.stdout


def test_the_schema_revisions_are_found(wheel_python: Path) -> None:
    """Alembic finds its scripts in the installed package, by the name the engine gives it."""
    program = (
        "from alembic.config import Config; from alembic.script import ScriptDirectory; config = Config();"
        " config.set_main_option('script_location', 'cognition_migrations:');"
        " print(*ScriptDirectory.from_config(config).get_heads())"
    )

    assert 1 == len(run(wheel_python, program).split())


def test_prefect_finds_the_entry_point(wheel_python: Path) -> None:
    """It stands in the metadata of the wheel, which names the package that is installed."""
    program = (
        "from importlib.metadata import entry_points;"
        " (found,) = entry_points(group='prefect.collections', name='cognition');"
        " print(found.dist.name, found.value)"
    )

    assert "prefect-cognition cognition_blocks" == run(wheel_python, program)


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel(wheel_python: Path, tmp_path: Path) -> None:
    """With servers and a schema of its own: programs, revisions, SQL and Lua come from installed packages alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COGNITION_", "PYTHON"))}
    command = [
        wheel_python.with_name("cognition"),
        "demo",
        "--model",
        "openai-chat:gpt-5-mini",
        "--count",
        "1",
        "--json",
    ]
    with FakeOpenAI() as provider, temporary_home() as home:
        own = {
            "COGNITION_HOME": str(home),
            "OPENAI_API_KEY": "any",
            "OPENAI_BASE_URL": provider.base_url,
            "PREFECT_HOME": str(tmp_path),
        }
        done = subprocess.run(command, cwd=tmp_path, env=inherited | own, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stderr
        assert 4 == provider.count  # two cold, and two that only look the same as those

    passes = json.loads(done.stdout)["passes"]
    assert {"cold": [0, 0, 0, 2], "warm": [2, 0, 0, 0], "L1 empty": [0, 2, 0, 0], "reworded": [0, 0, 2, 2]} == {
        one["name"]: list(one["layers"].values()) for one in passes
    }
    assert str(ROOT) not in done.stderr
