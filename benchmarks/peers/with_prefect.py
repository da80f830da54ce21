"""Prefect's own `INPUTS` policy with persisted results beside our `llm_task`, and no cache at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import INPUTS
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_LOGGING_LEVEL,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness
from pydantic import SecretStr
from typing_extensions import override

from benchmarks.peers.port import MODEL, NOBODY, Caller, Peer, Place, in_thread
from cognition.runtime import engine_for
from cognition_blocks import CachedLLM, CognitionStore, llm_task


class PrefectInputs(Peer):
    """A `@task` whose inputs are its cache key and whose result is a file; every call is a task run."""

    shared = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._stack = ExitStack()
        settings: dict[Any, Any] = {
            PREFECT_LOCAL_STORAGE_PATH: Path(place.folder, "results"),
            PREFECT_LOGGING_LEVEL: "CRITICAL",
            PREFECT_SERVER_ANALYTICS_ENABLED: False,
        }
        self._stack.enter_context(temporary_settings(settings))
        if not PREFECT_API_URL.value():
            self._stack.enter_context(prefect_test_harness(server_startup_timeout=180))
        self._ask = self.asking()

    def asking(self) -> Callable[[str, str, str], str]:
        """Return the task."""

        @task(cache_policy=INPUTS, persist_result=True)
        def ask(prompt: str, system: str, model: str) -> str:
            del system, model
            return self.call(prompt)

        return ask

    @override
    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        # Inputs that the task is not given do not keep answers apart; a tenant is none of them.
        return self._ask(prompt, caller.system, caller.model)

    @override
    def close(self) -> None:
        self._stack.close()


class OursAsTask(PrefectInputs):
    """Our `llm_task`, which is a task run as well."""

    @override
    def asking(self) -> Callable[[str, str, str], str]:
        place = self.place
        store = CognitionStore(
            database_url=SecretStr(place.database_url), redis_url=SecretStr(place.redis_url), tenant="task"
        )
        llm = CachedLLM(
            model_name=f"openai-chat:{MODEL}", api_key=SecretStr("any"), base_url=place.provider_url, store=store
        )
        self._stack.callback(lambda: engine_for(store.to_settings()).close())

        @llm_task(llm=llm)
        def ask(prompt: str) -> str:
            return prompt

        return lambda prompt, _system, _model: ask(prompt)


class NoCache(Peer):
    """The call itself."""

    @override
    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        return self.call(prompt)

    @override
    async def acomplete(self, prompt: str) -> str:
        return await in_thread(self.call, prompt)

    @override
    def complete_many(self, prompts: Sequence[str]) -> list[str]:
        return [self.call(prompt) for prompt in prompts]


PEERS: dict[str, type[Peer]] = {"prefect-inputs": PrefectInputs, "ours-task": OursAsTask, "no-cache": NoCache}
