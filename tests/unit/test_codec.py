"""The form in which every store keeps entries."""

from __future__ import annotations

import pickle
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import pack
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelResponse, TextPart

from cognition.adapters import codec
from cognition.adapters.codec import decode, encode
from cognition.domain.entry import CacheEntry
from cognition.errors import EntryCorrupted
from cognition.testing.contracts.samples import NOON, a_rich_answer, an_address, an_answer, an_entry

ADDRESS = an_address()
KEY = ADDRESS.key.hex()
ENTRY = an_entry(ADDRESS)

WHOLE, WHOLE_ZSTANDARD, LEAN, LEAN_ZSTANDARD = FORMS = 0x20, 0x21, 0x22, 0x23

# Written by the first release. It has no field that a later pydantic-ai may add, and it must be readable for ever.
FIRST_RELEASE = (
    b'["ollama:qwen3","ollama:qwen3","0.000000001","r",["a"],null,null,'
    b'{"parts":[{"content":"yes","part_kind":"text"}],"usage":{"input_tokens":4,"output_tokens":1},'
    b'"timestamp":"2026-11-22T11:59:00Z","kind":"response","finish_reason":"stop"}]'
)
CREATED = datetime(2026, 11, 22, 11, 59, tzinfo=UTC)
EXPIRES = datetime(2026, 11, 22, 12, 5, 0, 1, tzinfo=UTC)


class Foreign:
    """Something that JSON cannot express."""


@pytest.mark.parametrize(
    "entry",
    [ENTRY, an_entry(ADDRESS, "long " * 1000), an_entry(ADDRESS, response=a_rich_answer(), cost_usd=None, tags=())],
    ids=["short", "long", "rich"],
)
def test_an_entry_comes_back_equal(entry: CacheEntry) -> None:
    """Nothing is lost, whatever the entry holds."""
    assert entry == decode(encode(entry), KEY)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_unicode_comes_back(text: str) -> None:
    """Every text that is Unicode is kept exactly, without normalisation."""
    assert text == only_text(decode(encode(an_entry(ADDRESS, text)), KEY).response)


@given(st.text(st.characters(categories=["Cs", "Lu", "So"])))
def test_text_that_is_not_unicode_is_kept_as_near_as_possible(text: str) -> None:
    """Joined and replaced surrogates, as every UTF-16 decoder does it."""
    expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert expected == only_text(decode(encode(an_entry(ADDRESS, text)), KEY).response)


@pytest.mark.parametrize(
    ("detail", "kept"),
    [
        (b"\xff\x00", "_wA="),
        (float("nan"), None),
        (Foreign(), None),
        ({"a": Foreign(), "b": "\ud83d", "c": float("inf")}, {"a": None, "b": "\ufffd", "c": None}),
    ],
    ids=["bytes", "not a number", "object", "object and surrogate"],
)
def test_an_odd_detail_does_not_lose_the_answer(detail: object, kept: object) -> None:
    """A provider's details may hold anything; the answer is stored all the same."""
    response = replace(an_answer("paid"), provider_details={"detail": detail})
    decoded = decode(encode(an_entry(ADDRESS, response=response)), KEY).response
    assert ("paid", {"detail": kept}) == (only_text(decoded), decoded.provider_details)


@pytest.mark.parametrize("form", FORMS)
def test_the_first_release_can_be_read(form: int) -> None:
    """A new version reads what an older one stored."""
    entry = decode(written(FIRST_RELEASE, form), KEY)
    assert ("yes", 4, "stop") == (entry.response.text, entry.response.usage.input_tokens, entry.response.finish_reason)
    assert (3, Decimal("0.000000001"), ("a",)) == (entry.generation, entry.cost_usd, entry.tags)
    assert (CREATED, EXPIRES) == (entry.created_at, entry.expires_at)


@pytest.mark.parametrize(
    ("entry", "form"),
    [
        (ENTRY, LEAN),
        (an_entry(ADDRESS, "many words " * 10_000), LEAN_ZSTANDARD),
        (an_entry(ADDRESS, response=a_rich_answer()), WHOLE_ZSTANDARD),
        (an_entry(ADDRESS, response=replace(an_answer(), provider_details={"tuple": (1, 2)})), WHOLE),
    ],
    ids=["text", "long text", "other parts", "odd detail"],
)
def test_the_lean_form_is_for_plain_text(entry: CacheEntry, form: int) -> None:
    """Only an entry that comes back equal from the lean form is kept in it; above 1 KiB either is compressed."""
    assert form == encode(entry)[0]


def test_what_this_version_wrote_is_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is taken apart when somebody looks at it, and once."""
    reading = Mock(wraps=codec.from_json)
    value = encode(ENTRY)
    monkeypatch.setattr(codec, "from_json", reading)
    entry = decode(value, KEY)
    assert (0, ENTRY.expires_at) == (reading.call_count, entry.expires_at)
    assert (ENTRY.response, ENTRY.model, 1) == (entry.response, entry.model, reading.call_count)


def test_what_another_version_wrote_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that has another idea of an answer must not be trusted."""
    monkeypatch.setattr(codec, "_WRITER", b"else")
    value = encode(ENTRY)
    monkeypatch.undo()
    reading = Mock(wraps=codec.from_json)
    monkeypatch.setattr(codec, "from_json", reading)
    assert (ENTRY, 1) == (decode(value, KEY), reading.call_count)


def test_a_copy_keeps_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies for other layers and generations are written without looking at the answer."""
    entry = decode(encode(ENTRY), KEY)
    monkeypatch.setattr(codec, "from_json", Mock(side_effect=AssertionError))
    value = encode(entry.lasting_until(NOON).of_generation(9))
    monkeypatch.undo()
    assert replace(ENTRY, expires_at=NOON, generation=9) == decode(value, KEY)


def test_a_changed_entry_is_written_anew() -> None:
    """What `replace` changes must not be lost to the body of the original."""
    entry = decode(encode(ENTRY), KEY)
    changed = replace(entry, tags=("team:sales",))
    assert ("team:sales",) == decode(encode(changed), KEY).tags


def test_long_text_takes_little_space() -> None:
    """The point of compression."""
    assert len(encode(an_entry(ADDRESS, "many words " * 10_000))) < 1_000


def test_a_value_of_another_key_is_refused() -> None:
    """Values may have been swapped; each names its key."""
    with pytest.raises(EntryCorrupted, match="another key"):
        decode(encode(ENTRY), an_address("another question").key.hex())


@pytest.mark.parametrize("form", FORMS)
def test_every_damaged_byte_is_noticed(form: int) -> None:
    """No single byte can change without being noticed: a wrong answer is worse than a miss."""
    value = written(FIRST_RELEASE, form)
    for position in range(len(value)):
        for bit in (1, 2, 0x20):
            damaged = value[:position] + bytes([value[position] ^ bit]) + value[position + 1 :]
            with pytest.raises(EntryCorrupted):
                decode(damaged, KEY)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(value: bytes) -> None:
    """Whatever else writes to the store, nothing but `EntryCorrupted` comes of it."""
    for form in (value, *(stored(value, form) for form in FORMS)):
        with pytest.raises(EntryCorrupted):
            decode(form, KEY)


@pytest.mark.parametrize(
    "body",
    [b"null", b"[]", b"{}", b'["ollama:qwen3"]', FIRST_RELEASE + b"}", FIRST_RELEASE.replace(b'"yes"', b'"\\ud83d"')],
)
def test_sound_values_of_other_things_are_refused(body: bytes) -> None:
    """A right checksum does not make an entry."""
    for form in (WHOLE, LEAN):
        with pytest.raises(EntryCorrupted):
            decode(stored(body, form), KEY)


def test_pickles_are_not_loaded() -> None:
    """A stored value never runs code."""
    with pytest.raises(EntryCorrupted):
        decode(stored(pickle.dumps(ENTRY)), KEY)


@pytest.mark.parametrize("form", [WHOLE, LEAN])
def test_errors_do_not_quote_the_value(form: int) -> None:
    """Answers are confidential, and messages end up in logs."""
    with pytest.raises(EntryCorrupted) as caught:
        decode(stored(FIRST_RELEASE.replace(b'"parts"', b'"no"').replace(b"yes", b"confidential"), form), KEY)
    assert "confidential" not in str(caught.value)
    assert None is caught.value.__cause__


@pytest.mark.parametrize("form", [WHOLE_ZSTANDARD, LEAN_ZSTANDARD])
@pytest.mark.parametrize("size_is_written", [True, False])
def test_a_decompression_bomb_is_not_unpacked(form: int, *, size_is_written: bool) -> None:
    """A value that claims a gibibyte, or does not say its size, is refused before memory is taken."""
    compressor = zstandard.ZstdCompressor(write_content_size=size_is_written)
    bomb = compressor.compressobj(size=1 << 30) if size_is_written else compressor.compressobj()
    body = bomb.compress(b"\0" * 1024) + bomb.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    with pytest.raises(EntryCorrupted, match="too large"):
        decode(stored(body, form), KEY)


def test_threads_do_not_share_coders() -> None:
    """Coders of one thread must not be used by another at the same time."""
    # Text that compresses badly keeps the coders busy for long.
    entries = [an_entry(ADDRESS, "".join(uuid4().hex for _ in range(10_000))) for _ in range(8)]

    def comes_back(entry: CacheEntry) -> bool:
        return all(entry == decode(encode(entry), KEY) for _ in range(20))

    with ThreadPoolExecutor(max_workers=8) as threads:
        assert all(threads.map(comes_back, entries))


def stored(body: bytes, form: int = WHOLE) -> bytes:
    """Return a body under a right head, by a writer that is not this version."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    times = [(moment - epoch) // timedelta(microseconds=1) for moment in (CREATED, EXPIRES)]
    sealed = pack(">32sQqq4s", ADDRESS.key, 3, *times, b"else") + body
    return pack(">BI", form, zlib.crc32(sealed, form)) + sealed


def written(json: bytes, form: int) -> bytes:
    """Return what an engine would have stored."""
    return stored(
        zstandard.ZstdCompressor().compress(json) if form in {WHOLE_ZSTANDARD, LEAN_ZSTANDARD} else json, form
    )


def only_text(response: ModelResponse) -> Any:
    """Return the text of an answer's only part, empty text included."""
    (part,) = response.parts
    assert isinstance(part, TextPart)
    return part.content
