"""Tenants never see each other's answers, and no secret leaves the place where it is needed."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import make_url

from cognition import Cognition, Credentials
from cognition.errors import CognitionError
from cognition.events import Event, StoreFailed
from cognition.testing import Fault, Reply
from tests.integration.engine.stage import API_KEY, Stage

PASSWORD = "pw-9d1f7be2"  # noqa: S105  of no server
SECRETS = (API_KEY, PASSWORD)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    prompts=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=4),
    namespace=st.sampled_from(["default", "acme", "umbrella", "acme:umbrella"]),
    flushed=st.booleans(),
)
def test_tenants_never_share_an_answer(stage: Stage, prompts: list[str], namespace: str, flushed: bool) -> None:  # noqa: FBT001
    """Whatever two tenants ask, each gets answers that were made for it alone."""
    engines = [engine for engine in stage.opened if not engine.closed] or [
        stage.open(tenant=tenant) for tenant in ("acme", "acme:umbrella", "umbrella")
    ]
    stage.provider.default = lambda call: Reply(text=f"Answer {call.index}")
    prompts = [prompt.encode("utf-8", "replace").decode() for prompt in prompts]
    seen: list[set[str]] = []
    for _ in range(2):
        for engine in engines:
            done = engine.complete_many(prompts, namespace=namespace, credentials=stage.credentials)
            seen.append({one.text for one in done})
        if flushed:
            stage.flush_redis()
    first, again = seen[: len(engines)], seen[len(engines) :]
    assert first == again
    assert sum(map(len, first)) == len(set[str].union(*first))


@pytest.fixture
def events() -> list[Event]:
    """Return a list for events."""
    return []


@pytest.fixture
def engine(stage: Stage, events: list[Event]) -> Cognition:
    """Return an engine whose database URL holds a password, which the server of the tests does not ask for."""
    url = make_url(stage.database_url).set(password=PASSWORD).render_as_string(hide_password=False)
    opened = stage.open(database_url=SecretStr(url))
    opened.observers.add(events.append)
    return opened


def test_no_secret_is_logged(stage: Stage, engine: Cognition, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the most talkative level, neither of a good call nor of a failed one."""
    caplog.set_level(logging.DEBUG)
    stage.ask(engine)
    stage.provider.script(*[Fault(status=500, message=f"Bad key {API_KEY}.")] * 3)
    with pytest.raises(CognitionError):
        stage.ask(engine, "Again?")
    stage.flush_redis()
    stage.layers(engine, 2)
    engine.close()
    assert caplog.records
    assert not [line for line in caplog.text.splitlines() if any(secret in line for secret in SECRETS)]


def test_no_secret_is_in_an_event(stage: Stage, engine: Cognition, events: list[Event]) -> None:
    """Observers may print what they see."""
    stage.layers(engine, 2)
    stage.provider.script(Fault(status=401, message=f"Bad key {API_KEY}."))
    with pytest.raises(CognitionError):
        stage.ask(engine, "Again?")
    assert events
    assert not any(secret in repr(event) for event in events for secret in SECRETS)


def test_no_secret_is_in_an_error(stage: Stage, engine: Cognition) -> None:
    """Not in its text, its data, its notes, nor in what other processes are told."""
    stage.provider.script(Fault(status=401, message=f"Bad key {API_KEY}."))
    with pytest.raises(CognitionError) as caught:
        stage.ask(engine)
    error = caught.value
    told = [str(error), repr(error), str(error.to_dict()), str(pickle.dumps(error))]
    # Logs show the causes as well, and Dask pickles them.
    told += traceback.format_exception(error)
    assert not any(secret in text for text in told for secret in SECRETS)
    assert "Bad key ***." in repr(error.__cause__)


def test_no_secret_is_in_the_stores(stage: Stage, engine: Cognition) -> None:
    """Neither Redis nor any table holds a key or a password, also after errors that other processes are told."""
    stage.layers(engine, 2)
    stage.provider.script(Fault(status=401, message=f"Bad key {API_KEY}."))
    with pytest.raises(CognitionError):
        stage.ask(engine, "Again?")
    engine.ledger.flush()
    kept = b"\n".join(part for item in stage.redis_contents().items() for part in item) + _dump(stage)
    assert b"RequestRejected" in kept
    assert not any(secret.encode() in kept for secret in SECRETS)


def test_no_secret_is_in_a_completion(stage: Stage, engine: Cognition) -> None:
    """Prefect pickles results and prints them."""
    for done in (stage.ask(engine), stage.ask(engine)):
        assert API_KEY not in repr(done)
        assert API_KEY.encode() not in pickle.dumps(done)


def test_no_secret_is_in_settings_or_credentials() -> None:
    """They are printed in tracebacks of users' programs."""
    credentials = Credentials(api_key=API_KEY, base_url="http://localhost:1/v1")
    assert API_KEY not in repr(credentials)


def test_no_password_of_redis_is_told(stage: Stage) -> None:
    """A server that refuses the password is told apart from one that is away, without quoting the password."""
    events: list[Event] = []
    engine = stage.open(redis_url=SecretStr(stage.redis_url + "?username=cognition&password=" + PASSWORD))
    engine.observers.add(events.append)
    assert ["provider", "l2"] == stage.layers(engine, 2)
    (failed,) = [event for event in events if isinstance(event, StoreFailed)]
    assert "refused the user or password" in failed.reason
    assert PASSWORD not in repr(events)


def _dump(stage: Stage) -> bytes:
    """Return every row of every table."""
    tables = stage.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows: list[Any] = []
    for table in tables:
        name = table["tablename"]
        rows += [(name, *map(_plain, row.values())) for row in stage.sql(f'SELECT * FROM "{name}"')]  # noqa: S608
    return repr(rows).encode()


def _plain(value: Any) -> Any:
    return value.tobytes() if isinstance(value, memoryview) else value
