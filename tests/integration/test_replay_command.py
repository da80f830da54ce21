"""`cognition cache replay` over a small log, with the real local embedder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import refusal, run
from tests.tiny_cross_encoder import write_cross_encoder

QUESTIONS = [
    ("How do I reset my password?", "reset"),
    ("How can I reset my password?", "reset"),
    ("How do I reset my password?", "reset"),
    ("What is the boiling point of water at sea level?", "boiling"),
    ("Is it safe to eat raw salmon?", "salmon"),
    ("Is it not safe to eat raw salmon?", "not salmon"),
    ("Convert 15 miles to kilometres", "15 miles"),
    ("Convert 50 miles to kilometres", "50 miles"),
]
COST = "0.002"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log with a rephrasing, a repeat, a negation and another number."""
    path = tmp_path / "calls.jsonl"
    lines = [json.dumps({"prompt": text, "label": label, "cost_usd": COST}) for text, label in QUESTIONS]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def outcome(told: Any, method: str, threshold: float) -> Any:
    """Return what one method did at one threshold."""
    (curve,) = [curve for curve in told["curves"] if curve["method"] == method]
    (found,) = [one for one in curve["outcomes"] if one["threshold"] == threshold]
    return found


def test_machines_are_told_everything(log: Path) -> None:
    """Cosine answers the negation and the other number as well; the guard refuses both, with their rules."""
    told = json.loads(run({}, "cache", "replay", str(log), "--json", "--show", "2", "--thresholds", "0.9,0.5").stdout)

    assert ("local:all-minilm-l6-v2", 8, 1, COST) == tuple(
        told[name] for name in ("embedder", "calls", "repeats", "repeats_saved_usd")
    )
    plain, guarded = (outcome(told, method, 0.9) for method in ("cosine", "guarded"))
    assert (1, 1) == (guarded["hits"], guarded["precision"])
    assert COST == guarded["saved_usd"]
    assert plain["wrong"] > 0
    assert {"negation", "numbers"} >= set(guarded["refusals"])
    assert {"negation", "numbers"} == {one["refusal"] for one in told["examples"]["refused"]}
    assert {"Embedding", "Finding neighbours", "Trying thresholds"} == set(told["seconds"])


def test_a_verifier_is_tried_beside_the_others(log: Path, tmp_path: Path) -> None:
    """It has a curve of its own, and can only add hits to what the shipped decision answers."""
    write_cross_encoder(tmp_path / "tiny", ["LABEL_0"], [4.0])
    name = f"onnx:{tmp_path / 'tiny'}"
    told = json.loads(run({}, "cache", "replay", str(log), "--json", "--thresholds", "0.9", "--verifier", name).stdout)

    assert name == told["verifier"]
    assert ["cosine", "guarded", "shipped", "verified"] == [curve["method"] for curve in told["curves"]]
    assert outcome(told, "verified", 0.9)["hits"] >= outcome(told, "shipped", 0.9)["hits"]


def test_people_get_tables_examples_and_a_plot(log: Path, tmp_path: Path) -> None:
    """One table for each method; refusals with their reasons; the time it took."""
    plot = tmp_path / "plot.png"
    printed = run({}, "cache", "replay", str(log), "--show", "1", "--plot", str(plot), "--max-error", "0.05").stdout

    assert printed.startswith("8 calls in 1 scope, 1 of them exact repeats (12.5%, which saves $0.0020).\n")
    assert 30 == sum(line.startswith("│") for line in printed.splitlines())
    assert "For at most 5.0% wrong hits, with 95% confidence:" in printed
    assert "negation: " in printed
    assert f"The plot is in {plot}.\n" in printed
    assert b"PNG" == plot.read_bytes()[1:4]


def test_what_cannot_be_replayed_is_one_sentence(log: Path) -> None:
    """A missing file, thresholds and embedders that are none."""
    assert "missing.jsonl cannot be read" in refusal({}, "cache", "replay", "missing.jsonl")
    assert "write numbers from 0 to 1" in refusal({}, "cache", "replay", str(log), "--thresholds", "0.9,high")
    assert "names no provider" in refusal({"COGNITION_EMBEDDER": "minilm"}, "cache", "replay", str(log))
