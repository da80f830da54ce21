"""A real HTTP server on loopback that speaks the OpenAI and Anthropic APIs and misbehaves on request.

It answers `/v1/chat/completions`, `/v1/responses`, `/v1/messages`, `/v1/embeddings` and `/v1/models`. `GET /__calls__`
shows what it received and `DELETE /__calls__` forgets it, for tests in which other processes make the calls;
`python -m cognition.testing` runs it in a process of its own.
"""

import json
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cognition.testing import fake_wire
from cognition.testing.fake_script import (
    CutConnection,
    Fault,
    Hang,
    JsonObject,
    MalformedJson,
    Raw,
    ReceivedCall,
    Reply,
    Step,
)

_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key"})
_CALLS = "/__calls__"


class FakeOpenAI:
    """An OpenAI- and Anthropic-compatible provider in a thread of this process.

    Every POST takes the next scripted step; when none is left, the default. Use it as a context manager:

        with FakeOpenAI() as provider:
            provider.script(Fault(status=429, headers={"retry-after": "2"}), Reply(text="second try"))
            client = AsyncOpenAI(base_url=provider.base_url, api_key="any")
    """

    def __init__(self, *, default: Step | None = None, api_key: str | None = None, port: int = 0) -> None:
        """Prepare the server without opening it.

        Args:
            default: Answer when the script is empty; a minimal valid answer when None.
            api_key: The only key accepted, all others are refused with status 401; None accepts every key.
            port: TCP port on loopback; 0 takes a free one.
        """
        self.default: Step = default if default is not None else Reply()
        self._api_key = api_key
        self._port = port
        self._steps: deque[Step] = deque()
        self._calls: list[ReceivedCall] = []
        self._arrival = threading.Condition()
        self._closing = threading.Event()
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Address of the server, without path; what the Anthropic SDK calls its base URL."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        """Address with `/v1`; what the OpenAI SDK calls its base URL."""
        return f"{self.url}/v1"

    @property
    def calls(self) -> list[ReceivedCall]:
        """The calls received so far, oldest first."""
        with self._arrival:
            return list(self._calls)

    @property
    def count(self) -> int:
        """Number of calls received so far."""
        with self._arrival:
            return len(self._calls)

    def script(self, *steps: Step) -> None:
        """Append answers to the queue."""
        with self._arrival:
            self._steps.extend(steps)

    def reset(self) -> None:
        """Forget the script and the calls."""
        with self._arrival:
            self._steps.clear()
            self._calls.clear()

    def wait_for_calls(self, count: int, *, timeout_seconds: float = 10.0) -> None:
        """Block until so many calls have arrived.

        Raises:
            TimeoutError: If they have not arrived in time.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._calls) >= count, timeout_seconds):
                raise TimeoutError(f"Only {len(self._calls)} of {count} calls arrived in {timeout_seconds} s.")

    def open(self) -> Self:
        """Start to listen."""
        self._closing.clear()
        self._server = _Server(self, self._port)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake-openai", daemon=True).start()
        return self

    def close(self) -> None:
        """Stop to listen and drop every connection, the hanging ones too."""
        self._closing.set()
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the closing of the server."""
        if seconds > 0:
            self._closing.wait(seconds)

    def receive(self, path: str, headers: Mapping[str, str], body: JsonObject) -> tuple[ReceivedCall, Step]:
        """Record a call and return it with the step that answers it."""
        headers = {name.lower(): value for name, value in headers.items()}
        shown = {name: "***" if name in _CREDENTIALS else value for name, value in headers.items()}
        with self._arrival:
            call = ReceivedCall(len(self._calls), "POST", path, shown, body, datetime.now(UTC))
            self._calls.append(call)
            self._arrival.notify_all()
            if not self._admits(headers):
                message = "Incorrect API key provided."
                return call, Fault(status=401, error_code="invalid_api_key", message=message)
            step = self._steps.popleft() if self._steps else self.default
        while callable(step):
            step = step(call)
        return call, step

    def _admits(self, headers: Mapping[str, str]) -> bool:
        given = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
        return self._api_key is None or given == self._api_key


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a hanging step must not delay the end of a test
    request_queue_size = 512

    def __init__(self, fake: FakeOpenAI, port: int) -> None:
        self.fake = fake
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Conversation)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _drop(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that gives up is part of many tests
            super().handle_error(request, client_address)


class _Conversation(BaseHTTPRequestHandler):
    """One client connection, kept alive over many requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        """Answer the list of models and the calls received."""
        path = self.path.partition("?")[0]
        if path == _CALLS:
            calls = [
                {"path": call.path, "body": call.body, "at": call.at.isoformat()} for call in self.server.fake.calls
            ]
            self._send(HTTPStatus.OK, {"count": len(calls), "calls": calls})
        elif path.endswith("/models"):
            self._send(HTTPStatus.OK, {"object": "list", "data": [{"id": "fake", "object": "model", "created": 0}]})
        else:
            self._send_fault(fake_wire.CHAT, Fault(status=404, message=f"No such page: {path}"))

    def do_DELETE(self) -> None:
        """Forget the calls received and the script."""
        self.server.fake.reset()
        self._send(HTTPStatus.OK, {})

    def do_POST(self) -> None:
        """Answer a completion or embedding request with the next step."""
        path = self.path.partition("?")[0]
        body: JsonObject = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
        call, step = self.server.fake.receive(path, dict(self.headers.items()), body)
        api = next((api for end, api in fake_wire.APIS.items() if path.endswith(end)), fake_wire.CHAT)
        match step:
            case Reply():
                self.server.fake.pause(step.delay_seconds)
                self._reply(api, call, step)
            case Fault():
                self.server.fake.pause(step.delay_seconds)
                self._send_fault(api, step)
            case MalformedJson():
                self._write(HTTPStatus.OK, step.body.encode())
            case Raw():
                self._send_raw(step)
            case Hang():
                self.server.fake.pause(step.seconds)
                self._cut()
            case CutConnection():
                if step.after_bytes is not None:
                    self._reply(api, call, Reply(), only=step.after_bytes)
                self._cut()
            case _:
                raise TypeError(f"Not a step: {step!r}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name of http.server
        """Say nothing; tests look at `calls`."""

    def _reply(self, api: fake_wire.Api, call: ReceivedCall, reply: Reply, *, only: int | None = None) -> None:
        if call.path.endswith("/embeddings"):
            body = fake_wire.embeddings(call.body)
        else:
            body = fake_wire.answer(api, call.body, reply, call.index)
        headers = dict(reply.headers)
        if not call.body.get("stream"):
            self._write(HTTPStatus.OK, json.dumps(body).encode(), headers, only=only)
        elif api.stream:
            headers["content-type"] = "text/event-stream"
            self._write(HTTPStatus.OK, "".join(api.stream(body)).encode(), headers, only=only)
        else:
            self._send_fault(api, Fault(status=400, message="The fake provider does not stream this API."))

    def _send_fault(self, api: fake_wire.Api, fault: Fault) -> None:
        self._send(fault.status, fault.body if fault.body is not None else api.write_error(fault), fault.headers)

    def _send(self, status: int, body: JsonObject, headers: Mapping[str, str] | None = None) -> None:
        self._write(status, json.dumps(body).encode(), headers)

    def _write(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, *, only: int | None = None
    ) -> None:
        """Send status, headers and body in one packet; `only` keeps back the rest of the body."""
        head = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        lines = [f"HTTP/1.1 {status} scripted", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode() + body[:only])

    def _send_raw(self, raw: Raw) -> None:
        self.close_connection = True
        head = f"HTTP/1.1 200 scripted\r\ncontent-type: {raw.content_type}\r\nconnection: close\r\n\r\n"
        self.wfile.write(head.encode())
        self.server.fake.pause(raw.delay_seconds)
        self.wfile.write(raw.body.encode())
        self.server.fake.pause(raw.silent_seconds)

    def _cut(self) -> None:
        self.close_connection = True
        _drop(self.connection)


def _drop(connection: socket.socket) -> None:
    """Close a connection at once, as a crashed server would."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was faster
