"""The lock files pin everything and name no place."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK_FILES = ["requirements.lock", "requirements-local-model.txt"]


def requirements(name: str) -> list[str]:
    """Return the lines of a lock file, continued lines joined, without comments."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("name", LOCK_FILES)
def test_no_host_or_folder_of_packages_is_named(name: str) -> None:
    """A lock file is installed from whatever index a machine is set up with."""
    text = (ROOT / name).read_text(encoding="utf-8")

    assert [] == re.findall(r".*(?:://|--(?:extra-)?index-url|--find-links| @ ).*", text)


@pytest.mark.parametrize("name", LOCK_FILES)
def test_every_line_is_one_version_with_hashes(name: str) -> None:
    """Nothing can be installed that was not there when the file was written."""
    pinned = re.compile(r"[a-z0-9-]+==[^\s;]+( ;[^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*")

    assert [] == [line for line in requirements(name) if not pinned.fullmatch(line)]


def test_the_lock_file_covers_what_the_project_declares() -> None:
    """A dependency added to pyproject.toml is missing here until `make lock` is run."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *declared["project"]["dependencies"],
        *(text for texts in declared["project"]["optional-dependencies"].values() for text in texts),
        *declared["dependency-groups"]["dev"],
    ]
    locked = [Requirement(line.split(" --hash", 1)[0]) for line in requirements("requirements.lock")]
    versions = {requirement.name: str(requirement.specifier).removeprefix("==") for requirement in locked}

    missing = [
        text
        for text in wanted
        if not (need := Requirement(text)).specifier.contains(versions.get(canonicalize_name(need.name), "0"))
    ]

    assert [] == missing
