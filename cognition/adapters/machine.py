"""What this machine offers to models that run on it."""

import os
import sys


def usable_cores() -> int:
    """Return how many cores this process may use, which in a container is fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
