"""A day of traffic through a Prefect flow, with and without us: hit rate by layer, waiting time, cost.

Calls arrive when they arrived at a production service (the Azure LLM inference trace), on a clock that runs faster; the
provider takes its 1.8 s all the same. What they ask are banking77's and Quora's questions, repeated word by word or in
other words as often as the `Mix` says: no public trace holds texts, and how much repeats decides everything.
"""

from __future__ import annotations

import csv
import gzip
import io
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.settings import PREFECT_LOGGING_LEVEL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.testing.utilities import prefect_test_harness
from pydantic import SecretStr

from benchmarks.peers.scene import Scene
from benchmarks.peers.with_ours import InstantAnswers
from benchmarks.semantic.data import QUORA, labelled_pairs
from cognition import Cognition, Completion, SemanticPolicy, Settings
from cognition.domain.cache_policy import CacheMode
from cognition.runtime import engine_for
from cognition.testing import FakeOpenAI, Reply
from cognition_blocks import CachedLLM, CognitionStore, llm_task

MODEL = "openai-chat:gpt-5-mini"
LATENCY_SECONDS = 1.8
_TRACE = "azure-llm-trace/AzureLLMInferenceTrace_conv.csv.gz"
_QUESTIONS = "banking77/train.csv.gz"
_CALLERS = 48


@dataclass(frozen=True)
class Mix:
    """How traffic repeats itself; the rest is new.

    Attributes:
        same: Share of calls that repeat an earlier question word by word.
        near: Share that ask an earlier question in other words, as Quora's users did.
    """

    same: float
    near: float


PLAYED = Mix(same=0.70, near=0.15)
ASKED = (Mix(0.30, 0.10), Mix(0.50, 0.15), PLAYED, Mix(0.85, 0.10), Mix(0.96, 0.02))
"""Whose hit rates are measured without a flow and without waiting."""


def measure(scene: Scene) -> dict[str, Any]:
    """Return what the flow gave with and without us, and hit rates for other mixes."""
    calls, seconds = (12, 3.0) if scene.quick else (600, 100.0)
    arrivals = _arrivals(scene.data / _TRACE, calls, seconds)
    played = prompts_of(scene.data, PLAYED, calls)
    quiet: dict[Any, Any] = {PREFECT_LOGGING_LEVEL: "CRITICAL", PREFECT_SERVER_ANALYTICS_ENABLED: False}
    logging.getLogger("prefect").setLevel(logging.CRITICAL)
    reply = Reply(text="An answer of the usual length. " * 20, delay_seconds=LATENCY_SECONDS)
    with FakeOpenAI(default=reply) as provider, temporary_settings(quiet), prefect_test_harness(300):
        with_us = _through_flow(scene, provider, "use", arrivals, played)
        without = _through_flow(scene, provider, "bypass", arrivals, played)
    mixes = [asdict(mix) | _hit_rate(scene, mix, calls) for mix in ASKED]
    return {
        "calls": calls,
        "seconds_played": seconds,
        "mix": asdict(PLAYED),
        "with": with_us,
        "without": without,
        "mixes": mixes,
    }


def prompts_of(data: Path, mix: Mix, calls: int, seed: int = 0) -> list[str]:
    """Return what is asked, in order."""
    dice = random.Random(seed)  # noqa: S311  no secret
    with gzip.open(data / _QUESTIONS, "rt", encoding="utf-8") as file:
        new = [row["text"] for row in csv.DictReader(file)]
    dice.shuffle(new)
    alike = [(pair.a, pair.b) for pair in labelled_pairs(data / QUORA) if pair.duplicates]
    dice.shuffle(alike)
    asked: list[str] = []
    waiting: list[str] = []  # the other member of a pair whose first one was asked
    while len(asked) < calls:
        draw = dice.random()
        if asked and draw < mix.same:
            # The popular ones more often: what was asked early was also asked by many.
            asked.append(asked[int(len(asked) * dice.random() ** 2)])
        elif draw < mix.same + mix.near and waiting:
            asked.append(waiting.pop(dice.randrange(len(waiting))))
        elif alike and dice.random() < mix.near / max(1e-9, 1 - mix.same):
            first, second = alike.pop()
            asked.append(first)
            waiting.append(second)
        else:
            asked.append(new.pop())
    return asked


def _arrivals(path: Path, calls: int, seconds: float) -> list[float]:
    """Return when each call arrives: the whole trace thinned to so many calls, and compressed to so many seconds."""
    text = gzip.decompress(path.read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    moments = [datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp() for row in rows]
    chosen = sorted(random.Random(0).sample(moments, calls))  # noqa: S311  no secret
    length = max(chosen[-1] - chosen[0], 1.0)
    return [(moment - chosen[0]) / length * seconds for moment in chosen]


def _through_flow(
    scene: Scene, provider: FakeOpenAI, mode: CacheMode, arrivals: Sequence[float], prompts: Sequence[str]
) -> dict[str, Any]:
    """Play the calls as tasks of one flow run, each submitted when it arrives."""
    store = CognitionStore(
        database_url=SecretStr(scene.servers.database_url),
        redis_url=SecretStr(scene.servers.redis_url),
        tenant=f"replay-{mode}",
        embedder="local:all-minilm-l6-v2",
    )
    llm = CachedLLM(model_name=MODEL, api_key=SecretStr("any"), base_url=provider.base_url, store=store)

    @llm_task(llm=llm, returns="completion", cache=mode)
    def answer(prompt: str) -> str:
        return prompt

    runner: Any = ThreadPoolTaskRunner(max_workers=_CALLERS)  # pyright: ignore[reportUnknownVariableType]

    @flow(task_runner=runner)
    def day() -> list[tuple[float, Completion[str]]]:
        begin = time.monotonic()
        submit: Any = answer.submit  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        futures: list[Any] = []
        for moment, prompt in zip(arrivals, prompts, strict=True):
            time.sleep(max(0.0, begin + moment - time.monotonic()))
            futures.append(submit(prompt))
        return [future.result() for future in futures]

    # The first call of a process loads the embedder and connects; a day does not begin with that.
    llm.complete("Are you ready?", cache=mode)
    provider.reset()
    done: list[Any] = day()
    engine_for(store.to_settings()).close()
    return _summary(done, provider.count)


def _summary(done: Sequence[Completion[str]], calls: int) -> dict[str, Any]:
    waited = sorted(one.latency.total_seconds() for one in done)
    return {
        "layers": Counter(one.layer for one in done),
        "p50": waited[len(waited) // 2],
        "p95": waited[int(0.95 * len(waited))],
        "cost_usd": str(sum((one.cost_usd or 0 for one in done), Decimal(0))),
        "saved_usd": str(sum((one.saved_usd or 0 for one in done), Decimal(0))),
        "provider_calls": calls,
    }


def _hit_rate(scene: Scene, mix: Mix, calls: int) -> dict[str, Any]:
    """Ask a mix one call after the other, without waiting for anybody."""
    values: dict[str, Any] = {
        "database_url": scene.servers.database_url,
        "redis_url": scene.servers.redis_url,
        "tenant": f"mix-{mix.same}-{mix.near}",
        "model": MODEL,
        "embedder": "local:all-minilm-l6-v2",
        "semantic": SemanticPolicy(check_share=0.0),
    }
    with Cognition.open(Settings.model_validate(values), provider=InstantAnswers()) as engine:
        done = [engine.complete(prompt) for prompt in prompts_of(scene.data, mix, calls)]
        layers = Counter(one.layer for one in done)
        spent = sum((one.cost_usd or 0 for one in done), Decimal(0))
        saved = sum((one.saved_usd or 0 for one in done), Decimal(0))
    return {"layers": layers, "cost_saved": float(saved / (spent + saved))}
