"""What cannot work is refused in one sentence that says what to do, and nothing is half written."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from cognition import CachePolicy, ResiliencePolicy
from cognition.adapters.postgres import migrate
from cognition.errors import (
    CacheUnavailable,
    CognitionError,
    ConfigurationError,
    ProviderUnavailable,
    RequestRejected,
)
from cognition.testing import Fault, Reply
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import API_KEY, Stage

PASSWORD = "pw-53b9c1"  # noqa: S105  of no server but the test's own

NOWHERE = f"postgresql://u:{PASSWORD}@127.0.0.1:9/x"
NO_PORT = f"redis://:{PASSWORD}@localhost:port"

# One sentence: nothing after the full stop but the end, and no line of a traceback.
_SENTENCE = re.compile(r"[^\n]+[.]")

BAD_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "no-provider": ({"model": "gpt-5-mini"}, "names no provider; write 'provider:model'"),
    "unknown-provider": ({"model": "nobody:gpt-5-mini"}, "There is no provider 'nobody'"),
    "control-characters": ({"model": "openai-chat:gpt\0"}, "The model is empty or not printable text"),
    "namespace": ({"namespace": ""}, "The namespace is empty"),
    "namespace-nul": ({"namespace": "a\0b"}, "The namespace is empty or not printable text"),
    "namespace-surrogate": ({"namespace": "\ud800"}, "The namespace is empty or not printable text"),
    "empty-prompt": ({"prompt": ""}, "The prompt is empty"),
    "blank-prompt": ({"prompt": " \n\t"}, "The prompt is empty"),
    "no-messages": ({"prompt": []}, "The prompt is empty"),
    "none": ({"prompt": None}, "The prompt is NoneType; pass a text or pydantic-ai messages"),
    "number": ({"prompt": 7}, "The prompt is int; pass a text or pydantic-ai messages"),
    "dictionaries": ({"prompt": [{"role": "user"}]}, "The prompt holds a dict"),
    "settings": ({"settings": {"temperature": float("nan")}}, "a value that JSON cannot express"),
    "settings-object": ({"settings": {"stop_sequences": object()}}, "a value that JSON cannot express"),
    "output": ({"output": threading.Event}, "The output type Event has no JSON schema"),
    "surrogate": ({"prompt": "half \ud83d"}, "holds half a character"),
    "surrogate-in-instructions": ({"instructions": "half \ud83d"}, "holds half a character"),
}


@pytest.mark.parametrize(("options", "sentence"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_refused(stage: Stage, options: dict[str, Any], sentence: str) -> None:
    """Before the provider is asked and before anything is written."""
    engine = stage.open()
    credentials = None if options.get("model") == "nobody:gpt-5-mini" else stage.credentials
    options = {"prompt": "What?", "credentials": credentials} | options
    with pytest.raises(ConfigurationError, match=re.escape(sentence)) as caught:
        stage.ask(engine, **options)
    assert _SENTENCE.fullmatch(str(caught.value))
    assert 0 == stage.provider.count
    assert engine.ledger.flush()
    assert [] == stage.sql("SELECT key FROM llm_cache")
    assert {"failed_free"} >= {row["status"] for row in stage.ledger()}


@pytest.mark.parametrize("option", ["api_key", "base_url"])
@pytest.mark.parametrize("value", ["", "with space", "ü"], ids=["empty", "space", "accent"])
def test_bad_credentials_are_refused(stage: Stage, option: str, value: str) -> None:
    """A key that no header may hold or an address that is none is found before it is used."""
    bad: Any = {option: value}
    with pytest.raises(ConfigurationError, match=option) as caught:
        stage.ask(stage.open(), credentials=replace(stage.credentials, **bad))
    assert _SENTENCE.fullmatch(str(caught.value))


def test_a_wrong_key_is_refused_once(stage: Stage) -> None:
    """A key does not get right by trying again."""
    with pytest.raises(RequestRejected, match="refused the key") as caught:
        stage.ask(stage.open(), credentials=replace(stage.credentials, api_key="sk-wrong-11aa"))
    assert _SENTENCE.fullmatch(str(caught.value))
    assert "sk-wrong" not in str(caught.value)
    assert 1 == stage.provider.count


def test_an_unknown_model_is_refused(stage: Stage) -> None:
    """The sentence names the model and where it was looked for."""
    stage.provider.default = Fault(status=404, error_code="model_not_found")
    with pytest.raises(RequestRejected, match=r"There is no model openai-chat:gpt-9 at 127\.0\.0\.1"):
        stage.ask(stage.open(), model="openai-chat:gpt-9")


def test_an_unreachable_server_is_one_sentence(stage: Stage) -> None:
    """It may come back, so all attempts are made; each is a row."""
    nowhere = replace(stage.credentials, base_url="http://127.0.0.1:9/v1")
    engine = stage.open()
    with pytest.raises(ProviderUnavailable, match=r"could not be reached at 127\.0\.0\.1:9") as caught:
        stage.ask(engine, credentials=nowhere)
    assert _SENTENCE.fullmatch(str(caught.value))
    assert engine.ledger.flush()
    assert ["failed_free"] * 3 == [row["status"] for row in stage.ledger()]


def test_a_missing_key_names_its_variable(stage: Stage) -> None:
    """Who has set nothing learns what to set."""
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        stage.ask(stage.open(), credentials=None)


def test_no_model_at_all(stage: Stage) -> None:
    """Neither the call nor the settings name one."""
    with pytest.raises(ConfigurationError, match="COGNITION_MODEL"):
        stage.ask(stage.open(model=None))


def test_a_prompt_of_a_megabyte(stage: Stage) -> None:
    """Is asked, answered, kept and found like any other."""
    stage.provider.default = lambda call: Reply(text=str(len(call.body["messages"][-1]["content"])))
    engine = stage.open()
    prompt = "word " * 200_000
    done = [stage.ask(engine, prompt) for _ in range(2)]
    stage.flush_redis()
    done.append(stage.ask(engine, prompt))
    assert [("provider", "1000000"), ("l1", "1000000"), ("l2", "1000000")] == [(one.layer, one.text) for one in done]


def test_an_answer_of_a_megabyte(stage: Stage) -> None:
    """Is kept up to the limit that the policy sets, and compressed."""
    stage.provider.default = Reply(text="word " * 200_000)
    engine = stage.open(cache=CachePolicy(max_entry_bytes=2_000_000))
    assert ["provider", "l1"] == stage.layers(engine, 2)
    stage.flush_redis()
    assert 1_000_000 == len(stage.ask(engine).text)
    (entry,) = stage.sql("SELECT payload_bytes FROM llm_cache")
    assert entry["payload_bytes"] < 100_000


@pytest.mark.parametrize(
    "bad",
    [
        lambda: CachePolicy(mode="never"),  # pyright: ignore[reportArgumentType]
        lambda: CachePolicy(jitter=1.5),
        lambda: ResiliencePolicy(attempts=0),
    ],
    ids=["mode", "jitter", "attempts"],
)
def test_a_policy_that_cannot_be_meant(bad: Callable[[], object]) -> None:
    """Is refused where it is written, not where it is used."""
    with pytest.raises(ConfigurationError) as caught:
        bad()
    assert _SENTENCE.fullmatch(str(caught.value))


# -- stores ---------------------------------------------------------------------------------------------------------


def _database(stage: Stage, **changes: Any) -> str:
    return make_url(stage.database_url).set(**changes).render_as_string(hide_password=False)


BAD_DATABASES: dict[str, tuple[Callable[[Stage], str], str]] = {
    "database": (lambda stage: _database(stage, database="nowhere"), "has no database of this name"),
    "user": (lambda stage: _database(stage, username="nobody_here"), "has no user of this name"),
    "folder": (lambda stage: _database(stage, query={"host": "/nowhere"}), "cannot be reached"),
    "port": (lambda _: NOWHERE, "cannot be reached"),
    "name": (lambda _: f"postgresql://u:{PASSWORD}@no-such-host.invalid/x", "cannot be reached"),
    "kind": (lambda _: f"mysql://u:{PASSWORD}@127.0.0.1/x", "is not an address of PostgreSQL"),
    "text": (lambda _: f"not a url {PASSWORD}", "is not an address of PostgreSQL"),
    "option": (lambda stage: stage.database_url + "&nonsense=1", "options"),
}


@pytest.mark.parametrize(("url", "sentence"), BAD_DATABASES.values(), ids=BAD_DATABASES)
def test_a_bad_database_url_is_refused(stage: Stage, url: Callable[[Stage], str], sentence: str) -> None:
    """When the engine is opened, in one sentence that never quotes the password."""
    with pytest.raises((ConfigurationError, CacheUnavailable), match=sentence) as caught:
        stage.open(database_url=SecretStr(url(stage)))
    _check_sentence(caught.value)


def test_a_wrong_database_password_is_refused(own_stage: Stage, own_servers: Servers) -> None:
    """And told apart from a server that is away."""
    right = own_servers.role_with_password(own_stage.database_url, PASSWORD)
    assert ["provider", "l1"] == own_stage.layers(own_stage.open(database_url=SecretStr(right)), 2)
    wrong = make_url(right).set(password=PASSWORD + "x").render_as_string(hide_password=False)
    with pytest.raises(ConfigurationError, match="refused the user or the password") as caught:
        own_stage.open(database_url=SecretStr(wrong))
    _check_sentence(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://localhost:6379", "localhost:6379", NO_PORT, "redis://localhost/?db=x"],
    ids=["scheme", "no-scheme", "port", "option"],
)
def test_a_bad_redis_url_is_refused(stage: Stage, url: str) -> None:
    """When the engine is opened, although Redis may be away then."""
    with pytest.raises(ConfigurationError, match="The Redis URL is not valid") as caught:
        stage.open(redis_url=SecretStr(url))
    _check_sentence(caught.value)


def test_an_old_schema_is_refused(stage: Stage) -> None:
    """The sentence says which command brings it up to date; nothing is changed by itself."""
    migrate.downgrade(stage.database_url, "0002")
    with pytest.raises(
        ConfigurationError, match=r"is at 0002 but this version needs \d{4}: run 'cognition db upgrade'"
    ):
        stage.open()
    assert "0002" == migrate.current(stage.database_url)


def test_a_newer_schema_is_refused(stage: Stage) -> None:
    """An old program must not write into a database it does not understand."""
    stage.sql(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'")  # noqa: S608  our own constant
    with pytest.raises(ConfigurationError, match="upgrade prefect-cognition"):
        stage.open()


def test_no_schema_is_refused(stage: Stage) -> None:
    """A fresh database of the user's own is not filled with tables unasked."""
    migrate.downgrade(stage.database_url, "base")
    with pytest.raises(ConfigurationError, match="has no schema yet"):
        stage.open()


def test_a_schema_that_vanishes_is_one_sentence(stage: Stage) -> None:
    """Who drops a table under a running engine learns which command brings it back; L1 answers on."""
    engine = stage.open()
    stage.ask(engine)
    stage.sql("DROP TABLE llm_cache CASCADE")
    assert ["l1"] == stage.layers(engine)
    with pytest.raises(ConfigurationError, match="run 'cognition db upgrade'"):
        stage.ask(engine, "New?")


# -- command line ---------------------------------------------------------------------------------------------------

_MAIN = "import sys; sys.argv[1:] = {arguments}; from cognition.cli import main; main()"

BAD_COMMANDS: dict[str, tuple[list[str], dict[str, str], int, str]] = {
    "database": (
        ["stats"],
        {"COGNITION_DATABASE_URL": NOWHERE},
        1,
        "cannot be reached",
    ),
    "redis": (
        ["cache", "purge"],
        {"COGNITION_REDIS_URL": NO_PORT},
        1,
        "The Redis URL is not valid",
    ),
    "setting": (["report"], {"COGNITION_CACHE__L1_TTL": "soon"}, 1, "COGNITION_CACHE__L1_TTL"),
    "json-setting": (["report"], {"COGNITION_PRICES": "cheap"}, 1, "COGNITION_PRICES"),
    "nothing-to-invalidate": (["cache", "invalidate"], {}, 1, "Say what to invalidate"),
    "dimension": (["report", "--by", "colour"], {}, 1, "cannot be grouped by 'colour'"),
    "option": (["stats", "--colour"], {}, 2, "No such option"),
}


@pytest.mark.parametrize(("arguments", "environment", "code", "sentence"), BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_a_bad_command_ends_with_a_sentence(
    stage: Stage, arguments: list[str], environment: dict[str, str], code: int, sentence: str
) -> None:
    """Exit code 1 and one sentence, or 2 for wrong usage; no traceback, no password."""
    ended = stage.run(_MAIN.format(arguments=arguments), **environment, TERM="dumb", COLUMNS="200")
    assert (code, "") == (ended.code, ended.output)
    assert sentence in ended.errors
    assert "Traceback" not in ended.errors
    assert PASSWORD not in ended.errors
    if code == 1:
        assert re.fullmatch(r"Error: [^\n]+[.]\n", ended.errors)


def _check_sentence(error: CognitionError) -> None:
    assert _SENTENCE.fullmatch(str(error))
    assert PASSWORD not in str(error)
    assert API_KEY not in str(error)
