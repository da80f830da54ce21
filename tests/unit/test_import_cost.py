"""Importing the engine stays cheap."""

import subprocess
import sys

HEAVY = {"onnxruntime", "pandas", "prefect", "tokenizers"}


def test_importing_the_engine_loads_nothing_heavy() -> None:
    """A process that only wants the engine does not pay for Prefect, pandas or models that it does not use."""
    program = f"import sys, cognition, cognition.adapters.embedders; print(*sorted({HEAVY} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "" == done.stdout.strip()
