"""The wheel as a user has it: built, and installed where this repository is not."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build_wheel(folder: Path) -> Path:
    """Build the wheel with the installed build backend, so without a network."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def install_wheel(wheel: Path, folder: Path) -> Path:
    """Install a wheel in a new environment that borrows our dependencies but not our source; return its interpreter.

    A folder named by a .pth file is searched like any other, but the .pth files in it are not read: the editable
    install of this repository, which is one, stays invisible.
    """
    venv.EnvBuilder(symlinks=True).create(folder)
    site_packages = Path(sysconfig.get_path("purelib", scheme="venv", vars={"base": str(folder)}))
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    interpreter = folder / "bin" / "python"
    command = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--python", str(interpreter)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return interpreter
