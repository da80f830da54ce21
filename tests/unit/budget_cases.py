"""The cases of `../shared/data/budget-cases`, where they are present."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[3] / "shared" / "data" / "budget-cases" / "cases.json"


def given_cases() -> dict[str, Any]:
    """Return the shared cases, numbers with places as decimals; skip the test where there are none."""
    if not CASES.exists():
        pytest.skip(f"{CASES} is not present")
    return json.loads(CASES.read_text(), parse_float=Decimal)
