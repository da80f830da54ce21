"""The plot of a replay: a PNG that is there as a whole, or not at all."""

from __future__ import annotations

import struct
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from cognition.cli.replay_plot import draw
from cognition.domain.replay import Curve, Examples, Method, Outcome, Report
from cognition.errors import ConfigurationError


def curve(method: Method, *, labelled: bool) -> Curve:
    """Return what a method did at two thresholds."""
    high = Outcome(
        threshold=0.9,
        hits=10,
        hit_rate=0.1,
        right=9 if labelled else 0,
        wrong=1 if labelled else 0,
        interval=(0.6, 0.98) if labelled else None,
        saved_usd=Decimal(0),
        refusals={},
    )
    return Curve(method=method, outcomes=(replace(high, threshold=0.8, hits=20, hit_rate=0.2), high))


def report(*, labelled: bool) -> Report:
    """Return a report about two methods."""
    return Report(
        calls=100,
        curves=(curve("cosine", labelled=labelled), curve("verified", labelled=labelled)),
        examples=Examples(method="verified", threshold=0.9, wrong=(), refused=()),
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_it_is_a_png_of_a_size_to_look_at(tmp_path: Path, labelled: bool) -> None:  # noqa: FBT001  a parameter of the test
    """With and without labels; nothing else is left in the folder."""
    draw(report(labelled=labelled), r"$\a$.jsonl", tmp_path / "out.png")

    content = (tmp_path / "out.png").read_bytes()
    assert b"\x89PNG\r\n\x1a\n" == content[:8]
    assert (1350, 825) == struct.unpack(">II", content[16:24])
    assert [tmp_path / "out.png"] == list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    """And what stood there before stays as it was."""
    (tmp_path / "folder" / "inner").mkdir(parents=True)

    for path in (tmp_path / "missing" / "out.png", tmp_path / "folder"):
        with pytest.raises(ConfigurationError, match=r"The plot cannot be written to .*\."):
            draw(report(labelled=True), "A title", path)
    assert [tmp_path / "folder"] == list(tmp_path.iterdir())
