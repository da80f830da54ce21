"""Trains the score that ships in `cognition/domain/guard/data/score.json`: `python -m benchmarks.semantic.train`.

A logistic regression with a ridge penalty on pairs of questions that the guard's rules let pass, weighted as the data
says, fitted by Newton's method; no chance is involved, so that the same data gives the same file. Only weights are
written, nothing of the data. The intercept is moved so that the default threshold answers a chosen share of the pairs.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from benchmarks.semantic.data import ADJUDICATED, DATA, JudgedPair, judged_pairs
from cognition.domain.guard import Evidence, analyse, compare, evidence_of
from cognition.domain.guard.score import RESTATED
from cognition.domain.similarity import DEFAULT_FLOOR, DEFAULT_THRESHOLD

RIDGE = 3.0
"""Penalty on the squared weights of the standardised evidence."""
HITS = 0.35
"""Share of the pairs, by weight, that the default threshold answers: 9.1 % of the stream they are the near ones of."""
STEPS = 50

Vector = NDArray[np.float64]


def main() -> None:
    """Train on all judged pairs and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the data for development")
    parser.add_argument("--output", type=Path, default=Path(str(files("cognition.domain.guard") / "data/score.json")))
    arguments = parser.parse_args()
    pairs = judged_pairs(arguments.data / ADJUDICATED)
    trained = train(pairs)
    arguments.output.write_text(json.dumps(trained, indent=2) + "\n", encoding="utf-8")
    print(f"Trained on {len(pairs)} pairs; written to {arguments.output}.")


class Trained(TypedDict):
    """What `score.json` holds."""

    intercept: float
    weights: dict[str, float]


def weighed(trained: Trained, evidence: Evidence, *, restated: bool) -> float:
    """Return the score that some weights give; the shipped ones give what `score_of` returns."""
    total = trained["intercept"] + float(np.dot(list(trained["weights"].values()), evidence))
    score = 1 / (1 + math.exp(-total))
    return max(score, RESTATED) if restated else score


def train(pairs: Sequence[JudgedPair]) -> Trained:
    """Fit the weights; pairs on which the annotators differ, and pairs that a rule refuses, teach nothing."""
    compared = [(pair, compare(analyse(pair.cached), analyse(pair.asked))) for pair in pairs]
    passing = [(pair, evidence_of(pair.cosine, found)) for pair, found in compared if not found.differences]
    judged = [(pair, evidence) for pair, evidence in passing if pair.answers is not None]
    weights, intercept = _fit(
        np.array([evidence for _, evidence in judged]),
        np.array([float(bool(pair.answers)) for pair, _ in judged]),
        np.array([pair.weight for pair, _ in judged]),
    )
    totals = sorted(
        (
            (math.inf if found.restated else float(np.dot(weights, evidence_of(pair.cosine, found))) + intercept, pair)
            for pair, found in compared
            if not found.differences and pair.cosine >= DEFAULT_FLOOR
        ),
        key=lambda scored: -scored[0],
    )
    shift = math.log(DEFAULT_THRESHOLD / (1 - DEFAULT_THRESHOLD)) - _lowest(
        totals, HITS * sum(pair.weight for pair in pairs)
    )
    return {
        "intercept": round(intercept + shift, 4),
        "weights": {name: round(float(weight), 4) for name, weight in zip(Evidence._fields, weights, strict=True)},
    }


def _lowest(totals: Sequence[tuple[float, JudgedPair]], weight: float) -> float:
    """Return the lowest total that is still a hit when the best pairs of a joint weight are."""
    for total, pair in totals:
        weight -= pair.weight
        if weight < 0:
            return total
    return totals[-1][0]


def _fit(evidence: Vector, answers: Vector, importance: Vector) -> tuple[Vector, float]:
    """Return the weights and the intercept that minimise the penalised log loss."""
    mean, scale = evidence.mean(axis=0), np.maximum(evidence.std(axis=0), 1e-9)
    design = np.column_stack([(evidence - mean) / scale, np.ones(len(evidence))])
    importance = importance / importance.mean()
    penalty = np.diag([RIDGE] * evidence.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (importance * (likely - answers)) + penalty @ weights
        curvature = (design * (importance * likely * (1 - likely))[:, None]).T @ design + penalty
        weights = weights - np.linalg.solve(curvature, gradient)
    raw = weights[:-1] / scale
    return raw, float(weights[-1] - np.dot(raw, mean))


if __name__ == "__main__":
    main()
