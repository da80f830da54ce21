"""What this machine offers to models that run on it, and what it is called."""

import os
import socket
import sys


def worker_name() -> str:
    """Return a name for this process that no other one on any machine has now."""
    return f"{socket.gethostname()}:{os.getpid()}"


def usable_cores() -> int:
    """Return how many cores this process may use, which in a container is fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
