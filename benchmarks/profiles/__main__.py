"""Profiles of the paths that users wait on, as text beside this file: `python -m benchmarks.profiles`.

pyinstrument, pinned in an environment of its own below `.peers/`, takes a sample of the calling thread each 0.1 ms
while hits of L1, of L2 and of L3 and a batch are asked for. A frame's share is of the wall clock, waits included.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import FOLDER, ensure
from benchmarks.peers.port import Peer, Place
from benchmarks.peers.servers import running
from benchmarks.peers.with_ours import Ours, OursDurable, OursSemantic

HERE = Path(__file__).parent
_INTERVAL_SECONDS = 0.0001
_SINGLES, _BATCH, _BATCHES, _NEAR = 500, 1000, 10, 60
_COMMAND = "python -m benchmarks.profiles"


def main() -> None:
    """Write one file a path."""
    ensure("profile")
    sys.path.append(str(next((FOLDER / "profile/lib").glob("python*/site-packages"))))
    prompts = [f"What does rule {number} of the contract say?" for number in range(_BATCH)]
    with running(with_search=False) as servers:
        place = Place(
            redis_url=servers.redis_url,
            database_url=servers.database_url,
            stack_url=None,
            folder="",
            weights="",
            tokenizer="",
        )
        _profile("hit_l1", Ours(place), prompts[:_SINGLES], _one_by_one)
        _profile("hit_l2", OursDurable(place), prompts[:_SINGLES], _one_by_one)
        _profile("batch_l1", Ours(place), prompts, _in_batches)
        near = [f"How do I change setting {number}?" for number in range(_NEAR)]
        _profile("hit_l3", OursSemantic(place), near, _politely)


def _one_by_one(peer: Peer, prompts: Sequence[str]) -> None:
    for prompt in prompts:
        peer.complete(prompt)


def _in_batches(peer: Peer, prompts: Sequence[str]) -> None:
    for _ in range(_BATCHES):
        peer.complete_many(prompts)


def _politely(peer: Peer, prompts: Sequence[str]) -> None:
    """Ask in other words, so that only a neighbour can answer."""
    for prompt in prompts:
        peer.complete(f"Please, {prompt}")


def _profile(name: str, peer: Peer, prompts: Sequence[str], use: Callable[[Peer, Sequence[str]], None]) -> None:
    peer.fill(prompts)
    use(peer, prompts[:1])
    peer.cool(prompts)
    profiler: Any = importlib.import_module("pyinstrument").Profiler(interval=_INTERVAL_SECONDS)
    profiler.start()
    use(peer, prompts)
    profiler.stop()
    peer.close()
    text = profiler.output_text(unicode=True, color=False, show_all=False)
    about = f"{_COMMAND}\n{os.cpu_count()} cores, Python {platform.python_version()}, {len(prompts)} prompts\n"
    (HERE / f"{name}.txt").write_text(about + text, encoding="utf-8")
    print(f"{name}.txt")


if __name__ == "__main__":
    main()
