"""No secret appears in Prefect's API, in logs, artifacts, results or the text of errors."""

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]
import pytest
from prefect import flow, get_client
from prefect.filesystems import LocalFileSystem
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from pydantic import SecretStr
from sqlalchemy import make_url

from cognition.errors import CognitionError
from cognition_blocks import CachedLLM, llm_task

PASSWORD = "pw-acceptance-93a1"  # noqa: S105 - no secret of anybody


@pytest.fixture
def secretive(llm: CachedLLM) -> CachedLLM:
    """Return a block whose database URL holds a password; the embedded server accepts any."""
    assert llm.store is not None
    assert llm.store.database_url is not None
    url = make_url(llm.store.database_url.get_secret_value()).set(password=PASSWORD)
    plain = SecretStr(url.render_as_string(hide_password=False))
    return llm.model_copy(update={"store": llm.store.model_copy(update={"database_url": plain})})


def test_what_the_api_tells_about_a_saved_block(secretive: CachedLLM) -> None:
    """Prefect's UI sees what this call returns."""
    secretive.save("secretive", overwrite=True)

    with get_client(sync_client=True) as client:
        shown = client.request("POST", "/block_documents/filter", json={}).text
        schemas = client.request("POST", "/block_schemas/filter", json={}).text

    assert "secretive" in shown
    assert [] == secrets_in(shown + schemas, secretive)


def test_what_a_run_leaves_behind(
    secretive: CachedLLM, summaries: Callable[[str], list[str]], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Logs, the artifact, pickled and persisted results."""
    caplog.set_level(logging.DEBUG)
    storage = LocalFileSystem(basepath=str(tmp_path))
    storage.save("left-behind", overwrite=True)
    ask = llm_task(llm=secretive, returns="completion", persist_result=True)(prompt_about)

    @flow(persist_result=True, result_storage=storage)
    def body() -> tuple[str, Any]:
        return str(flow_run.id), ask("circuits")

    flow_run_id, completion = body()

    persisted = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()).decode(errors="replace")
    pickled: bytes = pickle.dumps(completion) + cloudpickle.dumps(completion)  # pyright: ignore[reportUnknownMemberType]
    left = [caplog.text, *summaries(flow_run_id), persisted, pickled.decode(errors="replace"), repr(completion)]
    assert persisted
    assert [] == [found for text in left for found in secrets_in(text, secretive)]


def test_what_errors_say(secretive: CachedLLM, caplog: pytest.LogCaptureFixture) -> None:
    """A refused key and an unreachable database are described without the key and the password."""
    refused = secretive.model_copy(update={"api_key": SecretStr("sk-wrong-77aa")})
    assert secretive.store is not None
    nowhere = SecretStr(f"postgresql://u:{PASSWORD}@127.0.0.1:1/none")
    unreachable = secretive.model_copy(update={"store": secretive.store.model_copy(update={"database_url": nowhere})})
    said: list[str] = []
    for broken in (refused, unreachable):
        with pytest.raises(CognitionError) as raised:
            broken.complete("Hello")
        said += [str(raised.value), repr(raised.value), str(raised.value.__dict__)]

    texts = [*said, caplog.text]

    assert not [text for text in texts if "sk-wrong-77aa" in text]
    assert [] == [found for text in texts for found in secrets_in(text, secretive)]


def test_the_database_of_prefects_server(secretive: CachedLLM) -> None:
    """Not even on its disk, where block documents are encrypted."""
    secretive.save("secretive", overwrite=True)
    secretive.complete("Hello")

    url = get_current_settings().server.database.connection_url
    assert url is not None
    folder = Path(str(make_url(url.get_secret_value()).database)).parent
    stored = b"".join(path.read_bytes() for path in folder.glob("*.db*")).decode(errors="replace")

    assert "secretive" in stored
    assert [] == secrets_in(stored, secretive)


def secrets_in(text: str, block: CachedLLM) -> list[str]:
    """Return the secrets of a block that stand in a text, as they are or as JSON."""
    assert block.api_key is not None
    return [s for s in (block.api_key.get_secret_value(), PASSWORD) if s in text or json.dumps(s)[1:-1] in text]


def prompt_about(topic: str) -> str:
    """Return a prompt."""
    return f"What is {topic}?"
