"""`cognition demo`, as a person runs it: a process, a real model or one over HTTP, real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL

from cognition.testing import FakeOpenAI, Fault
from tests.acceptance.conftest import API_KEY

_COMMAND = [sys.executable, "-c", "from cognition.cli import main; main()", "demo"]


@pytest.fixture
def environment(database_url: str, redis_url: str) -> dict[str, str]:
    """Return the variables that lead the demo to the servers of this test."""
    stores = {"COGNITION_DATABASE_URL": database_url, "COGNITION_REDIS_URL": redis_url}
    return os.environ | stores | {"PREFECT_API_URL": str(PREFECT_API_URL.value())}


@pytest.mark.slow
def test_later_passes_cost_nothing_where_they_ask_the_same(environment: dict[str, str]) -> None:
    """Real descriptions, a real local model: asked once, then answered from L1, L2 and, in other words, L3."""
    done = _run(environment, "--json", "--count", "1")

    result = json.loads(done.stdout)
    cold, warm, emptied, reworded = result["passes"]
    assert 1 == result["texts"] == len(result["answers"])
    assert {"l1": 0, "l2": 0, "l3": 0, "provider": 2} == cold["layers"]
    assert {"l1": 2, "l2": 0, "l3": 0, "provider": 0} == warm["layers"]
    assert {"l1": 0, "l2": 2, "l3": 0, "provider": 0} == emptied["layers"]
    assert {"l1": 0, "l2": 0, "l3": 2, "provider": 2} == reworded["layers"]
    assert [True, True, False, False] == [one["answered"] for one in result["reworded"]]
    assert Decimal(cold["cost_usd"]) == Decimal(warm["saved_usd"]) == Decimal(emptied["saved_usd"]) > 0
    assert 0 == Decimal(warm["cost_usd"]) == Decimal(emptied["cost_usd"])
    booked = [(row["pass"], row["task"], row["calls"], row["attempts"]) for row in result["ledger"]]
    assert {("cold", "summarise", 1, 1), ("warm", "classify", 1, 0), ("L1 empty", "summarise", 1, 0)} <= set(booked)
    assert ("reworded", "reworded_summary", 1, 0) in booked
    paid = sum(Decimal(row["cost_usd"]) for row in result["ledger"])
    assert Decimal(cold["cost_usd"]) + Decimal(reworded["cost_usd"]) == paid


def test_a_file_and_a_model_of_ones_own(environment: dict[str, str], tmp_path: Path) -> None:
    """Any text file and any model that pydantic-ai knows, here one behind an OpenAI-compatible server."""
    source = tmp_path / "notes.txt"
    source.write_text("The parcel was wet.\n\nWhere is my order?", encoding="utf-8")
    with FakeOpenAI(api_key=API_KEY) as server:
        keys = {"OPENAI_API_KEY": API_KEY, "OPENAI_BASE_URL": server.base_url}
        done = _run(environment | keys, "--model", "openai-chat:gpt-5-mini", "--input", str(source), "--json")

        result: dict[str, Any] = json.loads(done.stdout)
        assert 8 == server.count
    assert [0, 4, 4, 4] == [one["calls"] - one["layers"]["provider"] for one in result["passes"]]


def test_a_refused_key_is_one_sentence(environment: dict[str, str]) -> None:
    """The demo ends with exit code 1 and says what is wrong, without a traceback."""
    with FakeOpenAI(default=Fault(status=401)) as server:
        keys = {"OPENAI_API_KEY": "sk-wrong", "OPENAI_BASE_URL": server.base_url}
        done = _run(environment | keys, "--model", "openai-chat:gpt-5-mini", "--count", "1", code=1)

    assert 1 == len([line for line in done.stderr.splitlines() if line.startswith("Error: ")])
    assert "Traceback" not in done.stderr
    assert "sk-wrong" not in done.stdout + done.stderr


def _run(environment: dict[str, str], *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [*_COMMAND, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert code == done.returncode, done.stderr
    return done
