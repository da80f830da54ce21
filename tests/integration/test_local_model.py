"""The local model really answers."""

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from cognition.adapters.providers.local_model import LocalEndpoint, LocalModel

_OWNER = """
import json, os, sys, threading, urllib.request
from cognition.adapters.providers.local_model import LocalModel

endpoint = LocalModel("smollm2-135m").open()
body = {"messages": [{"role": "user", "content": "Tell a story."}], "max_tokens": 8000, "ignore_eos": True}
headers = {"authorization": f"Bearer {endpoint.api_key}", "content-type": "application/json"}
request = urllib.request.Request(f"{endpoint.base_url}/chat/completions", json.dumps(body).encode(), headers)
threading.Thread(target=lambda: urllib.request.urlopen(request).read(), daemon=True).start()
threading.Event().wait(0.5)  # the generation has begun, and lasts longer than any test
print(endpoint.base_url, flush=True)
"""
"""A process that owns a local model in the middle of an answer."""


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    """The one local model, not yet started."""
    opened = LocalModel("smollm2-135m")
    yield opened
    opened.close()


def test_it_answers_a_question(model: LocalModel) -> None:
    """A real generation yields text and true token counts."""
    answer = _ask(model.open(), {"max_tokens": 16})

    assert answer["choices"][0]["message"]["content"].strip()
    assert 16 >= answer["usage"]["completion_tokens"] > 0


def test_a_schema_constrains_the_answer(model: LocalModel) -> None:
    """Whatever the small model thinks, the answer is JSON of the asked shape."""
    schema = {"type": "object", "properties": {"kind": {"enum": ["question", "order"]}}, "required": ["kind"]}

    answer = _ask(
        model.open(), {"response_format": {"type": "json_schema", "json_schema": {"name": "k", "schema": schema}}}
    )

    assert json.loads(answer["choices"][0]["message"]["content"])["kind"] in {"question", "order"}


def test_it_serves_only_who_knows_the_key(model: LocalModel) -> None:
    """Another user of the machine cannot use it."""
    stranger = LocalEndpoint(model.open().base_url, "guess")

    assert 401 == _ask(stranger, {})["error"]["code"]


def test_threads_share_one_server(model: LocalModel) -> None:
    """However many threads open it at once, it is started once."""
    with ThreadPoolExecutor(8) as threads:
        endpoints = {threads.submit(model.open).result() for _ in range(8)}

    assert 1 == len(endpoints)


def test_a_killed_server_is_replaced() -> None:
    """After a crash the next use starts a new one."""
    model = LocalModel("smollm2-135m")
    try:
        first = model.open()
        (server,) = (child for child in psutil.Process().children() if _serves(child, first))
        server.kill()
        server.wait()

        assert model.open() != first
        assert "choices" in _ask(model.open(), {"max_tokens": 1})
    finally:
        model.close()


@pytest.mark.parametrize("end", ["pass", "os._exit(0)", "os.kill(os.getpid(), 9)", "os.fork() or sys.exit()"])
def test_the_server_ends_with_its_owner_even_while_it_generates(end: str) -> None:
    """However the owner ends, in the middle of an answer, it leaves no process behind and does not hang or crash."""
    program = f"{_OWNER}\n{end}"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        address: str = owner.stdout.readline().strip()
        code = owner.wait(timeout=30)

    assert code in {0, -signal.SIGKILL}
    assert _refuses(address)


def _ask(endpoint: LocalEndpoint, settings: dict[str, Any]) -> dict[str, Any]:
    url = urlsplit(endpoint.base_url)
    connection = http.client.HTTPConnection(url.netloc)
    body = {"messages": [{"role": "user", "content": "What is a circuit breaker?"}], **settings}
    headers = {"authorization": f"Bearer {endpoint.api_key}", "content-type": "application/json"}
    try:
        connection.request("POST", f"{url.path}/chat/completions", json.dumps(body), headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _serves(process: psutil.Process, endpoint: LocalEndpoint) -> bool:
    return any(link.laddr.port == urlsplit(endpoint.base_url).port for link in process.net_connections() if link.laddr)


def _refuses(address: str) -> bool:
    """Whether nobody listens there any more, which may take the server a moment to arrange."""
    deadline = threading.Event()
    for _ in range(100):
        try:
            http.client.HTTPConnection(urlsplit(address).netloc, timeout=1).connect()
        except OSError:
            return True
        deadline.wait(0.05)
    return False
