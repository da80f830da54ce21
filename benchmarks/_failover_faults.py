"""The faults of the failover scenarios, as steps of a fake provider; shared by the benchmark and its test.

The scenarios are Failover Bench's (failoverbench.dev, Saksham Kumar), written for streamed chat completions. The engine
does not stream to its callers, so a fault in the middle of a stream is played twice: as the same fault in the middle of
a plain chat completion, and, because pydantic-ai streams answers of Anthropic behind the scenes, in a real stream.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any

from cognition.testing import CutConnection, Fault, Hang, MalformedJson, Raw, ReceivedCall, Reply, Step
from cognition.testing.fake_stream import message_events

ANSWER = "token " * 60
OUTAGE_SECONDS = 60.0
_CUT_AT = 40
_LATE = 20

Script = Iterator[Step]


def whole() -> Step:
    """Return a good answer."""
    return Reply(text=ANSWER)


def _first(*steps: Step) -> Script:
    """Return some faults, then good answers."""
    return chain(steps, repeat(whole()))


def _outage() -> Script:
    """Return failures for a minute from the first call on, then good answers."""
    started: list[float] = []

    def now(call: ReceivedCall) -> Step:
        del call
        started.append(time.monotonic())
        return Fault(status=503) if started[-1] - started[0] < OUTAGE_SECONDS else whole()

    return repeat(now)


def _plain(text: str, finish_reason: str | None = "stop") -> str:
    """Return a chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 9, "completion_tokens": 60, "total_tokens": 69}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "gpt-5", "choices": [choice], "usage": usage}
    return json.dumps(body)


def _part() -> str:
    """Return two thirds of a chat completion, cut inside its text."""
    whole = _plain(ANSWER)
    return whole[: whole.index("token") + len("token ") * _CUT_AT]


def _events() -> list[str]:
    """Return a streamed answer of Anthropic's, with a text event for each token."""
    body: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": "claude"}
    body |= {"content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn", "stop_sequence": None}
    body |= {"usage": {"input_tokens": 9, "output_tokens": 60}}
    start, block, text, *end = message_events(body)
    tokens = [text.replace(ANSWER, "token ")] * (len(ANSWER) // len("token "))
    return [start, block, *tokens, *end]


def _stream(events: list[str], silent_seconds: float = 0.0) -> Step:
    return Raw(body="".join(events), content_type="text/event-stream", silent_seconds=silent_seconds)


def _streamed_badly(number: int) -> list[str]:
    """Return the whole stream with one event that is no JSON."""
    events = _events()
    events[number - 1] = 'event: content_block_delta\ndata: {"broken\n\n'
    return events


def prefill_refused(call: ReceivedCall) -> Step:
    """Answer unless the request ends with the beginning of an answer, as some gateways send it to continue one."""
    if call.body["messages"][-1]["role"] == "assistant":
        return Fault(status=400, message="prefill is not supported")
    return whole()


_RATE_LIMITED = Fault(status=429, error_code="rate_limit_exceeded", headers={"retry-after": "2"})

PLAIN: Mapping[str, Callable[[], Script]] = {
    "S01": lambda: _first(_RATE_LIMITED),
    "S02": lambda: repeat(Fault(status=429, error_code="rate_limit_exceeded")),
    "S03": lambda: _first(Fault(status=500)),
    "S04": lambda: repeat(Fault(status=503)),
    "S05": lambda: _first(CutConnection()),
    "S06": lambda: repeat(Hang(120)),
    "S07": lambda: repeat(Raw(body=_plain(ANSWER), delay_seconds=20)),
    "S08": lambda: repeat(Raw(body=_part())),
    "S09": lambda: repeat(Raw(body=_part(), silent_seconds=30)),
    "S10": lambda: repeat(MalformedJson(_plain(ANSWER)[:-2] + '"broken')),
    "S11": lambda: repeat(Raw(body=_plain(ANSWER))),
    "S12": lambda: repeat(Fault(status=400, error_code="context_length_exceeded")),
    "S13": lambda: repeat(Fault(status=400, error_code="content_policy_violation")),
    "S14": lambda: repeat(Raw(body=_part())),
    "S15": _outage,
    "S16": lambda: repeat(Fault(status=503)),
}
"""What the first model does in each scenario, in plain chat completions."""

STREAMED: Mapping[str, Callable[[], Script]] = {
    "S07": lambda: repeat(Raw(body="".join(_events()), content_type="text/event-stream", delay_seconds=20)),
    "S08": lambda: repeat(_stream(_events()[: 2 + _CUT_AT])),
    "S09": lambda: repeat(_stream(_events()[: 2 + _LATE], silent_seconds=30)),
    "S10": lambda: repeat(_stream(_streamed_badly(10))),
    "S11": lambda: repeat(_stream(_events()[:-1])),
    "S14": lambda: repeat(_stream(_events()[: 2 + _CUT_AT])),
}
"""The same faults in a stream of Anthropic's; `message_stop` is what `[DONE]` is at OpenAI."""
