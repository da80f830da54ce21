"""What a peer does when the driver says so, timed inside the peer's process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers.port import Caller, Peer, answer_of, loop

Result = dict[str, Any]
_fresh = count()


def fill(peer: Peer, *, prompts: Sequence[str]) -> Result:
    """Store many answers."""
    started = time.perf_counter()
    peer.fill(prompts)
    return {"seconds": time.perf_counter() - started}


def hits(peer: Peer, *, prompts: Sequence[str], callers: int = 1) -> Result:
    """Ask for stored answers, each once, from one thread or from many."""
    peer.cool(prompts)
    times, seconds = _asked(peer.complete, prompts, callers)
    return {"microseconds": median(times) * 1e6, "per_second": len(prompts) / seconds}


def look_ups(peer: Peer, *, prompts: Sequence[str]) -> Result:
    """Ask the cache alone."""
    times, _ = _asked(peer.get, prompts, 1)
    return {"microseconds": median(times) * 1e6}


def async_hits(peer: Peer, *, prompts: Sequence[str], callers: int = 1) -> Result:
    """Ask for stored answers from one task or from many."""
    peer.cool(prompts)
    times: list[float] = []

    async def some(part: Sequence[str]) -> None:
        for prompt in part:
            started = time.perf_counter()
            answer = await peer.acomplete(prompt)
            times.append(time.perf_counter() - started)
            _check(answer, prompt)

    async def everybody() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(some(prompts[number::callers]) for number in range(callers)))
        return time.perf_counter() - started

    seconds = loop().run_until_complete(everybody())
    return {"microseconds": median(times) * 1e6, "per_second": len(prompts) / seconds}


def misses(peer: Peer, *, calls: int) -> Result:
    """Ask what nobody has asked before; the provider answers at once."""
    prompts = [f"What is new number {next(_fresh)} of {time.time_ns()}?" for _ in range(calls)]
    times, _ = _asked(peer.complete, prompts, 1)
    alone, _ = _asked(answer_of, prompts, 1)
    return {"microseconds": (median(times) - median(alone)) * 1e6}


def batch(peer: Peer, *, prompts: Sequence[str]) -> Result:
    """Ask for stored answers as one batch."""
    peer.cool(prompts)
    started = time.perf_counter()
    answers = peer.complete_many(prompts)
    seconds = time.perf_counter() - started
    for answer, prompt in zip(answers, prompts, strict=True):
        _check(answer, prompt)
    return {"milliseconds": seconds * 1e3}


def near_hits(peer: Peer, *, prompts: Sequence[str]) -> Result:
    """Ask what was stored in other words; a miss is not timed, but counted."""
    times: list[float] = []
    missed = 0
    for prompt in prompts:
        started = time.perf_counter()
        answer = peer.get(prompt)
        elapsed = time.perf_counter() - started
        # An answer to the very words that were asked is a new one, and not a neighbour's.
        if answer is None or answer.startswith(prompt):
            missed += 1
        else:
            times.append(elapsed)
    return {"microseconds": median(times) * 1e6 if times else None, "missed": missed}


def empty(peer: Peer) -> Result:
    """Forget everything."""
    peer.empty()
    return {}


def stream(peer: Peer, *, prompts: Sequence[str], threshold: float | None) -> Result:
    """Look each prompt up, store it on a miss, and return whose answer it got."""
    if threshold is not None:
        peer.threshold(threshold)
    answered: list[str | None] = []
    for prompt in prompts:
        found = peer.get(prompt)
        if found is None:
            peer.put(prompt, prompt)
        answered.append(found)
    return {"answered": answered}


def at_once(peer: Peer, *, prompt: str, callers: int, begin: float) -> Result:
    """Ask the same thing from many callers at an agreed moment."""

    def ask(_: int) -> str:
        time.sleep(max(0.0, begin - time.time()))
        return peer.complete(prompt)

    async def all_of_them() -> None:
        await asyncio.sleep(max(0.0, begin - time.time()))
        await asyncio.gather(*(peer.acomplete(prompt) for _ in range(callers)))

    try:
        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(ask, range(callers)))
    except Exception as error:  # noqa: BLE001  whatever a peer raises
        if "asynchronous only" not in str(error):
            return {"error": f"{type(error).__name__}: {error}"[:200]}
        loop().run_until_complete(all_of_them())
    return {}


def ask(peer: Peer, *, prompt: str, caller: dict[str, str]) -> Result:
    """Ask once, as somebody."""
    return {"answer": peer.complete(prompt, Caller(**caller))}


def spend(peer: Peer, *, limit_cents: int, prompts: Sequence[str], callers: int, begin: float) -> Result:
    """Set a budget and ask until it is spent; every prompt is a new one."""
    peer.budget(limit_cents)

    def once(prompt: str) -> bool:
        time.sleep(max(0.0, begin - time.time()))
        try:
            peer.complete_within_budget(prompt)
        except Exception:  # noqa: BLE001  whatever a peer raises when money is out
            return False
        return True

    with ThreadPoolExecutor(callers) as pool:
        admitted = sum(pool.map(once, prompts))
    return {"admitted": admitted}


def memory(peer: Peer) -> Result:
    """Return the size of this process now."""
    del peer
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return {"megabytes": int(kilobytes) / 1024}


def _asked(ask_one: Callable[[str], str | None], prompts: Sequence[str], callers: int) -> tuple[list[float], float]:
    """Return the time of each call, and that of all."""
    times: list[float] = []

    def some(part: Sequence[str]) -> None:
        for prompt in part:
            started = time.perf_counter()
            answer = ask_one(prompt)
            times.append(time.perf_counter() - started)
            _check(answer, prompt)

    started = time.perf_counter()
    if callers == 1:
        some(prompts)
    else:
        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(some, [prompts[number::callers] for number in range(callers)]))
    return times, time.perf_counter() - started


def _check(answer: str | None, prompt: str) -> None:
    if answer is None:
        raise AssertionError("does not find what was stored")
    if prompt not in answer:
        raise AssertionError("gave the answer to another prompt")


WORK: dict[str, Callable[..., Result]] = {
    one.__name__: one
    for one in (fill, hits, look_ups, async_hits, misses, batch, near_hits, empty, stream, at_once, ask, spend, memory)
}
