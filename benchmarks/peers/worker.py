"""One process of one peer: `python -m benchmarks.peers.worker MODULE NAME`, in the peer's own environment.

It reads its `Place` and then one order a line from standard input, and writes one result a line to what was its
standard output when it began; whatever a peer prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import TextIO

from benchmarks.peers.port import Peer, Place, Unsupported
from benchmarks.peers.work import WORK


def main() -> None:
    """Serve until the input ends."""
    module, name = sys.argv[1:]
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    kind: type[Peer] = importlib.import_module(f"benchmarks.peers.{module}").PEERS[name]
    peer = kind(Place(**json.loads(sys.stdin.readline())))
    _say(results, {"result": {}})
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"result": WORK[order.pop("do")](peer, **order)}
        except Unsupported as lack:
            answer = {"unsupported": str(lack)}
        except Exception as error:  # noqa: BLE001  the driver decides what an error of a peer means
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        _say(results, answer)
    peer.close()


def _say(results: TextIO, answer: Mapping[str, object]) -> None:
    results.write(json.dumps(answer) + "\n")
    results.flush()


if __name__ == "__main__":
    main()
