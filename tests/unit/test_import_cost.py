"""Importing the engine stays cheap."""

import subprocess
import sys


def test_importing_the_engine_loads_neither_prefect_nor_pandas() -> None:
    """A process that only wants the engine does not pay for Prefect or pandas."""
    program = "import sys, cognition; print(*sorted({'pandas', 'prefect'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "" == done.stdout.strip()
