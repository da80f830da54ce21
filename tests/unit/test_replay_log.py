"""Logs of users: every shape that is accepted, and one sentence for every one that is not."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cognition.cli.replay_log import Log, read_log
from cognition.domain.replay import LoggedCall, LoggedPair
from cognition.errors import ConfigurationError


def written(folder: Path, *lines: Any, name: str = "log.jsonl") -> Path:
    """Write lines to a file; what is no text is written as JSON."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def read(folder: Path, *lines: Any, name: str = "log.jsonl", limit: int = 100) -> Log:
    """Write lines and read them."""
    return read_log(written(folder, *lines, name=name), limit)


def call(folder: Path, **line: Any) -> LoggedCall:
    """Return what one line says."""
    (found,) = read(folder, line).calls
    return found


def test_a_line_is_a_call(tmp_path: Path) -> None:
    """With its text, truth, cost and scope; empty lines are no lines."""
    log = read(tmp_path, {"prompt": "Why?", "label": 7, "cost_usd": 0.1, "namespace": "a"}, "", {"prompt": "Why?"})

    assert ("Why?", ("label", "7"), Decimal("0.1")) == (log.calls[0].text, log.calls[0].truth, log.calls[0].cost_usd)
    assert ("Why?", None, None) == (log.calls[1].text, log.calls[1].truth, log.calls[1].cost_usd)
    assert log.calls[0].scope != log.calls[1].scope


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_csv_says_the_same_as_json(tmp_path: Path, name: str) -> None:
    """Of the same columns, compressed or not; an empty cell is an absent field."""
    lines = [
        {"prompt": "Why, and\nhow?", "label": "a", "cost_usd": "0.25", "tenant": "t"},
        {"prompt": "When?", "tenant": "t"},
    ]
    table = ["prompt,label,cost_usd,tenant", '"Why, and\nhow?",a,0.25,t', "When?,,,t"]

    assert read(tmp_path, *lines).calls == read(tmp_path, *table, name=name).calls


def test_json_lines_may_be_compressed(tmp_path: Path) -> None:
    """The name says so."""
    assert read(tmp_path, {"prompt": "Why?"}) == read(tmp_path, {"prompt": "Why?"}, name="log.jsonl.gz")


def test_an_answer_is_a_label_whatever_its_spaces_and_case(tmp_path: Path) -> None:
    """A label of the line comes first."""
    assert (
        call(tmp_path, prompt="a", answer=" Yes,\n sir ").truth == call(tmp_path, prompt="b", answer="yes, sir").truth
    )
    assert call(tmp_path, prompt="a", answer="yes").truth != call(tmp_path, prompt="a", answer="no").truth
    assert (
        call(tmp_path, prompt="a", answer={"b": 1, "a": 2}).truth
        == call(tmp_path, prompt="a", answer={"a": 2, "b": 1}).truth
    )
    assert ("label", "x") == call(tmp_path, prompt="a", answer="yes", label="x").truth


@pytest.mark.parametrize("name", ["tenant", "namespace", "model", "instructions"])
def test_what_answers_depend_on_is_the_scope(tmp_path: Path, name: str) -> None:
    """Another value is another scope."""
    one, other, same = (call(tmp_path, prompt="a", **{name: value}).scope for value in ("x", "y", "x"))

    assert one == same
    assert one != other


USER = {"role": "user", "content": "Why?"}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [SYSTEM, USER],
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}, USER],
        [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}],
        [
            {
                "role": "user",
                "content": ["Why?", {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
            }
        ],
        [USER, {"role": "assistant", "tool_calls": [1]}, {"role": "tool", "content": "42"}],
    ],
)
def test_of_messages_the_last_text_of_a_user_is_asked(tmp_path: Path, messages: list[Any]) -> None:
    """Everything else is scope: other messages, images and tools' answers never match."""
    found = call(tmp_path, messages=messages)

    assert "Why?" == found.text
    asked_alone = messages == [USER] or messages[0]["content"] == [{"type": "text", "text": "Why?"}]
    assert asked_alone == (call(tmp_path, messages=[USER]).scope == found.scope)


def test_an_answer_at_the_end_of_messages_is_the_answer(tmp_path: Path) -> None:
    """As files for training have it; it is no part of the scope."""
    found = call(tmp_path, messages=[SYSTEM, USER, {"role": "assistant", "content": "Because."}])

    assert ("answer", "because.") == found.truth
    assert call(tmp_path, messages=[SYSTEM, USER]).scope == found.scope


def test_messages_in_a_cell_are_json(tmp_path: Path) -> None:
    """In CSV."""
    cell = json.dumps([USER]).replace('"', '""')
    assert [call(tmp_path, messages=[USER])] == read(tmp_path, "messages", f'"{cell}"', name="log.csv").calls


def test_a_line_may_be_a_pair(tmp_path: Path) -> None:
    """With or without a verdict and a weight; other columns are named."""
    log = read(
        tmp_path,
        {"cached": "a", "asked": "b", "answers": True, "weight": 2.5, "stream_size": 90, "source": "x"},
        {"cached": "a", "asked": "c", "answers": None},
    )

    expected = [
        LoggedPair(cached="a", asked="b", right=True, weight=2.5),
        LoggedPair(cached="a", asked="c", right=None, weight=1.0),
    ]
    assert (expected, 90, {"source"}) == (log.pairs, log.stream_size, log.ignored)
    assert [False, None] == [
        pair.right for pair in read(tmp_path, "cached,asked,answers", "a,b,False", "a,c,", name="log.csv").pairs
    ]


def test_half_characters_become_question_marks(tmp_path: Path) -> None:
    """They could not be printed."""
    assert "Why?" == call(tmp_path, prompt="Why\ud83d").text
    assert "Why?" == call(tmp_path, messages=[{"role": "user", "content": "Why\ud83d"}]).text


def test_a_limit_cuts(tmp_path: Path) -> None:
    """And the log knows whether it did."""
    lines = [{"prompt": str(number)} for number in range(3)]

    assert [(2, True), (3, False)] == [
        (len(log.calls), log.cut) for log in (read(tmp_path, *lines, limit=limit) for limit in (2, 3))
    ]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "is empty; each line should be a call"),
        (["{'prompt': 1}"], "Line 1 of .* is not JSON"),
        ([{"prompt": "a"}, "", "[" * 100_000], "Line 3 of .* is not JSON"),
        (["[1]"], "is not a JSON object"),
        ([{"prompt": " "}], "has no text in prompt"),
        ([{"prompt": 3}], "has no text in prompt"),
        ([{"question": "a", "id": 3}], "has no prompt .* its columns are: id, question"),
        (["{}"], "its columns are: none"),
        ([{"messages": "Why?"}], "has messages that are not JSON"),
        ([{"messages": {"role": "user"}}], "not a list of objects"),
        ([{"messages": [SYSTEM]}], "has no text of a user"),
        ([{"messages": [{"role": "user", "content": None}]}], "has no text of a user"),
        ([{"prompt": "a", "cost_usd": "cheap"}], "says 'cheap' in cost_usd"),
        ([{"prompt": "a", "cost_usd": -1}], "says -1 in cost_usd"),
        ([{"prompt": "a", "cost_usd": True}], "says True in cost_usd"),
        ([{"cached": "a", "asked": "b", "answers": "maybe"}], "says 'maybe' in answers"),
        ([{"cached": "a", "asked": "b", "weight": 0}], "says 0 in weight"),
        ([{"cached": "a", "asked": "b", "stream_size": [1]}], r"says \[1\] in stream_size"),
        ([{"cached": "a", "asked": 1}], "has no text in asked"),
        ([{"cached": "a", "asked": "b"}, {"prompt": "a"}], "Line 2 .* put them into two files"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path: Path, lines: list[Any], sentence: str) -> None:
    """With the line, and what to write where that helps."""
    with pytest.raises(ConfigurationError, match=sentence) as raised:
        read(tmp_path, *lines)

    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_none_is_said_too(tmp_path: Path) -> None:
    """Missing, a folder, not compressed, not text, cut in the middle, damaged."""
    (tmp_path / "plain.gz").write_text("plain")
    (tmp_path / "latin").write_bytes(b'{"prompt": "\xe9"}\n')
    whole = gzip.compress(json.dumps({"prompt": "a" * 99}).encode())
    (tmp_path / "cut.gz").write_bytes(whole[:-12])
    (tmp_path / "broken.gz").write_bytes(whole[:10] + b"\xff" + whole[11:])
    for name in ("missing", "", "plain.gz", "latin", "cut.gz", "broken.gz"):
        with pytest.raises(ConfigurationError, match=r"cannot be read \(.*\)\.$"):
            read_log(tmp_path / name, 100)
