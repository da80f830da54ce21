"""Exact keys and scope keys: what they tell apart, what they do not, and that they never change by themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal
from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from cognition.domain.completion import CompletionRequest, Credentials
from cognition.domain.fingerprint import address_of, canonical_json
from cognition.domain.output import output_type
from cognition.errors import ConfigurationError

MODEL = "openai-chat:gpt-5-mini"
RAIN = ToolReturnPart("weather", "rain", tool_call_id="call_7")
IMAGE = BinaryContent(data=b"\x89PNG\r\n", media_type="image/png")


class Ticket(BaseModel):
    """A support ticket."""

    topic: Literal["bill", "bug"]
    urgent: bool = False


def a_request(prompt: Any = "What is a circuit breaker?", **options: Any) -> CompletionRequest:
    """Return a request with some options changed."""
    options.setdefault("model", MODEL)
    return CompletionRequest(prompt=prompt, **options)


def a_conversation(
    *, question: str = "And in Rome?", call_id: str = "call_7", image: BinaryContent = IMAGE
) -> list[ModelMessage]:
    """Return a conversation with a system prompt, an image and a tool that was used."""
    return [
        ModelRequest([SystemPromptPart("Be brief."), UserPromptPart(["How is it here?", image])]),
        ModelResponse([ToolCallPart("weather", {"city": "Oslo"}, tool_call_id=call_id)]),
        ModelRequest([replace(RAIN, tool_call_id=call_id), UserPromptPart(question)]),
    ]


WEATHER = ToolDefinition(
    name="weather", parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}}
)

# If one of these changes, every entry in every cache of every user becomes unreachable: raise VERSION, say so in the
# change log, and only then write down the new values.
GOLDEN = {
    "text": (
        a_request(),
        "2021c379195347064300a635bec87256130ff4c0d3af867f773ff142fcfdd5d8",
        "0e9325b422b253d387d405733ea43f5b188e64181d1f017821722a417c4b774f",
    ),
    "non-ASCII": (
        a_request("Wie heißt das Café? 你好 🙂 שלום"),
        "dac6bc6b752956a3d439730dd4e10c166254f00a411b46a2cc683ead5dbdfaa6",
        "0e9325b422b253d387d405733ea43f5b188e64181d1f017821722a417c4b774f",
    ),
    "options": (
        a_request(
            instructions="Be brief.", settings={"temperature": 0, "max_tokens": 64}, namespace="triage", tenant="acme"
        ),
        "89a470a65f61db325f7b5bf2a6e841ff16ee5e64a0339b41576b033949357da6",
        "f7b6fb8b5fcfda5c9eaa6613ad5bce5c01b083f5e2b637aed6916a1b7b8444f1",
    ),
    "endpoint": (
        a_request(credentials=Credentials(api_key="sk-secret", base_url="http://127.0.0.1:8000/v1/")),
        "31cc77aeb40a37acf1e478788b498d1614461bec5cf10e87b2bce2c2d8f2abdb",
        "5940c46b36b81a0bb7f5c7cba3a9c96098141ef7c52e12baf088d6b93390bf7a",
    ),
    "object": (
        a_request(output=output_type(Ticket)),
        "be225cf2441c90ff1d15d12a7ca666a01b018bdf5ba4c2c9296801f80e8629a0",
        "348bff3f0a8e6d6d55bab9f5b69177d065c75a402529f7ca59a878a046f2d090",
    ),
    "list": (
        a_request(output=output_type(list[Ticket])),
        "41d615a5d25f0213a884160b3e875f066e881a4f1ac409efa5e061e9018ea657",
        "b43b5eb690f16fb1d015de4f03f87a6482140300dbf28e54786217409cfdefcd",
    ),
    "conversation": (
        a_request(a_conversation()),
        "ed473426361ca062e148dc1777d19a45f3dd8a377f6492ec218e7e7457c2acef",
        "df43240890dc5425317e21c92640b8d622f5d4080b9d70d1b0cbf4b310a5166b",
    ),
    "tools": (
        a_request(parameters=ModelRequestParameters(function_tools=[WEATHER])),
        "041d8e0f534916e76c476007f815761129e68c90e47ce5e19f35c2c0c5ed9dd6",
        "a2aaf8d9d35a78fa1e023af68b18ffa714b6d58b543edd53478dcbc85b096240",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_keys_stay_what_they_are(name: str) -> None:
    """Known requests have known keys, so that a release does not silently empty everybody's cache."""
    request, key, scope_key = GOLDEN[name]
    address = address_of(request)
    assert (key, scope_key) == (address.key.hex(), address.scope_key.hex())


def test_keys_are_the_same_in_every_process() -> None:
    """Neither the hash seed nor the order of sets reaches the key."""
    program = (
        "from cognition.domain.completion import CompletionRequest as R\n"
        "from cognition.domain.fingerprint import address_of\n"
        "from pydantic_ai.models import ModelRequestParameters as P\n"
        "settings = {'stop_sequences': {'a', 'b', 'c', 'd'}, 'seed': 1}\n"
        "parameters = P(revealed_tool_names={'f', 'g', 'h', 'i'})\n"
        "print(address_of(R(prompt='q', model='openai:gpt', settings=settings, parameters=parameters)).key.hex())\n"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


def test_a_text_equals_the_message_that_says_it() -> None:
    """The shortcut for plain texts gives the keys of the message list it stands for."""
    for content in ("Grüße\n", ["Grüße\n"]):
        assert address_of(a_request("Grüße\n")) == address_of(a_request([ModelRequest([UserPromptPart(content)])]))


def test_composed_and_decomposed_text_is_the_same() -> None:
    """Text is compared in Unicode NFC, in prompts and in instructions."""
    one, other = normalize("NFC", "Café ĝ 각"), normalize("NFD", "Café ĝ 각")
    assert one != other
    assert address_of(a_request(one, instructions=one)) == address_of(a_request(other, instructions=other))


@pytest.mark.parametrize(
    ("one", "other"), [("Yes", "yes"), ("a", "a "), ("1", "1.0"), ("\N{LATIN SMALL LIGATURE FI}", "fi")]
)
def test_text_is_not_folded(one: str, other: str) -> None:
    """Case, spaces and compatibility characters can change an answer."""
    assert address_of(a_request(one)).key != address_of(a_request(other)).key


CHANGES: dict[str, dict[str, Any]] = {
    "model": {"model": "openai-chat:gpt-5"},
    "provider": {"model": "openai:gpt-5-mini"},
    "endpoint": {"credentials": Credentials(base_url="http://127.0.0.1:8001/v1")},
    "instructions": {"instructions": "Be brief."},
    "empty instructions": {"instructions": ""},
    "temperature": {"settings": {"temperature": 0}},
    "a setting of one provider": {"settings": {"openai_reasoning_effort": "low"}},
    "a setting that is null": {"settings": {"temperature": None}},
    "output": {"output": output_type(Ticket)},
    "list output": {"output": output_type(list[Ticket])},
    "tool": {"parameters": ModelRequestParameters(function_tools=[WEATHER])},
    "tool description": {"parameters": ModelRequestParameters(function_tools=[replace(WEATHER, description="d")])},
    "tenant": {"tenant": "acme"},
    "namespace": {"namespace": "acme"},
}


def test_every_change_of_an_option_gives_another_key_and_scope() -> None:
    """No two of these requests may ever answer each other, exactly or by similarity."""
    addresses = [address_of(a_request())] + [address_of(a_request(**change)) for change in CHANGES.values()]
    assert len({address.key for address in addresses}) == len(addresses)
    assert len({address.scope_key for address in addresses}) == len(addresses)


CONVERSATIONS: dict[str, list[ModelMessage]] = {
    "as it is": a_conversation(),
    "another image": a_conversation(image=BinaryContent(data=b"GIF8", media_type="image/png")),
    "no system prompt": [ModelRequest([UserPromptPart(["How is it here?", IMAGE])]), *a_conversation()[1:]],
    "another earlier question": [ModelRequest([UserPromptPart("?")]), *a_conversation()[1:]],
    "no history": a_conversation()[2:],
    "another order": [*a_conversation()[:2], ModelRequest([UserPromptPart("And in Rome?"), RAIN])],
    "instructions": [*a_conversation()[:2], replace(a_conversation()[2], instructions="Be brief.")],
}


def test_every_change_before_the_last_text_gives_another_scope() -> None:
    """Earlier messages, images and tools define the scope."""
    addresses = [address_of(a_request(conversation)) for conversation in CONVERSATIONS.values()]
    assert len({address.scope_key for address in addresses}) == len(addresses)


@pytest.mark.parametrize("conversation", [False, True], ids=["text", "conversation"])
def test_only_the_last_text_leaves_the_scope(*, conversation: bool) -> None:
    """The scope is what a similar question must share: everything but its own words."""
    one, other = (
        address_of(a_request(a_conversation(question=text) if conversation else text))
        for text in ("In Rome?", "In Oslo?")
    )
    assert one.scope_key == other.scope_key
    assert one.key != other.key


def test_the_text_beside_an_image_is_the_last_text() -> None:
    """The image belongs to the scope, the words beside it do not; several texts are not the same as one."""
    image = ImageUrl(url="https://example.org/a.png")
    contents: list[Any] = [["What?", image], ["Who?", image], [image, "What?"], ["Wh", "at?", image], [image]]
    addresses = [address_of(a_request([ModelRequest([UserPromptPart(content)])])) for content in contents]
    assert len({address.key for address in addresses}) == 5
    assert addresses[0].scope_key == addresses[1].scope_key
    assert len({address.scope_key for address in addresses}) == 4


def test_times_runs_and_call_ids_do_not_matter() -> None:
    """What differs between two runs of the same program leaves the keys alone."""
    first, answer, last = a_conversation(call_id="pyd_ai_1")
    assert isinstance(answer, ModelResponse)
    long_ago = datetime(1999, 1, 1, tzinfo=UTC)
    rerun = [
        replace(first, run_id="r2", conversation_id="c2", timestamp=long_ago, metadata={"o": object()}),
        replace(answer, run_id="r2", conversation_id="c2", timestamp=long_ago),
        replace(last, run_id="r2", conversation_id="c2"),
    ]
    expected = address_of(a_request(a_conversation(call_id="call_7")))
    assert expected == address_of(a_request(rerun))


def test_which_return_belongs_to_which_call_matters() -> None:
    """Two calls whose answers are swapped are another conversation."""

    def paired(first: str, second: str) -> list[ModelMessage]:
        calls = [ToolCallPart("weather", {"city": city}, tool_call_id=city) for city in ("Oslo", "Rome")]
        returns = [
            ToolReturnPart("weather", "rain", tool_call_id=first),
            ToolReturnPart("weather", "sun", tool_call_id=second),
        ]
        return [ModelRequest([UserPromptPart("q")]), ModelResponse(calls), ModelRequest(returns)]

    assert address_of(a_request(paired("Oslo", "Rome"))).key != address_of(a_request(paired("Rome", "Oslo"))).key


def test_null_inside_arguments_is_not_left_out() -> None:
    """Only unset fields of messages are dropped, never the application's own values."""
    prompts = [
        [ModelResponse([ToolCallPart("f", args, tool_call_id="1")]), ModelRequest([ToolReturnPart("f", content, "1")])]
        for args in ({"a": None}, {})
        for content in ({"metadata": None}, {})
    ]
    assert len({address_of(a_request(prompt)).key for prompt in prompts}) == 4


def test_settings_in_any_order_and_an_empty_dictionary_are_the_same() -> None:
    """No settings and no set setting ask for the same."""
    assert address_of(a_request(settings={})) == address_of(a_request())
    one, other = {"seed": 1, "top_p": 0.5}, {"top_p": 0.5, "seed": 1}
    assert address_of(a_request(settings=one)) == address_of(a_request(settings=other))


def test_a_slash_at_the_end_of_an_endpoint_does_not_matter() -> None:
    """`/v1` and `/v1/` are one server."""
    one, other = Credentials(base_url="http://127.0.0.1/v1"), Credentials(base_url="http://127.0.0.1/v1/")
    assert address_of(a_request(credentials=one)) == address_of(a_request(credentials=other))


INJECTIONS = [
    {"tenant": 'a","namespace":"b'},
    {"tenant": "a", "namespace": "b"},
    {"tenant": "ab", "namespace": "c"},
    {"tenant": "a", "namespace": "bc"},
    {"namespace": 'default","tenant":"acme'},
    {"instructions": '","settings":{"temperature":0}'},
    {"instructions": "\\"},
    {"instructions": '\\"'},
    {"prompt": '"],["'},
    {"prompt": "\\"},
    {"prompt": "\u0000"},
    {"prompt": "\\u0000"},
    {"prompt": "null"},
]


def test_delimiters_in_values_forge_nothing() -> None:
    """No value can pass for another field or for the end of its own."""
    assert len({address_of(a_request(**change)).key for change in INJECTIONS}) == len(INJECTIONS)


TEXT = st.text(st.characters(exclude_categories=[]), min_size=1).filter(str.strip)


@given(TEXT, TEXT)
@example("\n\u0303", "ñ")
@example("a\u0338", "a")
@example("\ud83d\ude00", "😀")
def test_different_texts_have_different_keys(one: str, other: str) -> None:
    """Two texts share a key only if they are the same in NFC; the scope never depends on them."""
    first, second = address_of(a_request(one)), address_of(a_request(other))
    assert (first.key == second.key) == (normalize("NFC", one) == normalize("NFC", other))
    assert first.scope_key == second.scope_key


NAMES = st.text(min_size=1).filter(str.isprintable).map(partial(normalize, "NFC"))


@given(st.lists(NAMES, min_size=2, max_size=2, unique_by=lambda name: normalize("NFC", name)), NAMES, NAMES, TEXT)
def test_two_tenants_never_share_an_address(
    tenants: list[str], namespace: str, foreign_namespace: str, prompt: str
) -> None:
    """Whatever tenants and namespaces are called, nobody can reach another tenant's answers."""
    mine = address_of(a_request(prompt, tenant=tenants[0], namespace=namespace))
    theirs = address_of(a_request(prompt, tenant=tenants[1], namespace=foreign_namespace))
    assert mine.key != theirs.key
    assert mine.scope_key != theirs.scope_key


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_canonical_json_says_the_same(value: Any) -> None:
    """Nothing is lost but the form of the text."""
    text = canonical_json(value).decode("utf-8", "surrogatepass")
    assert json.loads(text) == json.loads(normalize("NFC", json.dumps(value, ensure_ascii=False)))


@pytest.mark.parametrize(
    "settings", [{"temperature": float("nan")}, {"extra_body": object()}, {"extra_body": {1: "a", "b": "c"}}]
)
def test_what_json_cannot_express_is_said_in_one_sentence(settings: dict[str, Any]) -> None:
    """The caller learns that a value is at fault, not that a serializer is."""
    with pytest.raises(ConfigurationError, match="cannot express"):
        address_of(a_request(settings=settings))


def test_a_tool_answer_that_json_cannot_express_is_said_in_one_sentence() -> None:
    """The same holds for objects in messages."""
    with pytest.raises(ConfigurationError, match="cannot express"):
        address_of(a_request([ModelRequest([ToolReturnPart("f", object(), "1"), UserPromptPart("q")])]))


def test_an_answer_made_elsewhere_is_the_same_answer() -> None:
    """A history typed by hand needs no provider's identifiers."""
    made = ModelResponse([TextPart("Rain.")])
    one = [ModelRequest([UserPromptPart("Now?")]), made, ModelRequest([UserPromptPart("Later?")])]
    other = [ModelRequest([UserPromptPart("Now?")]), replace(made), ModelRequest([UserPromptPart("Later?")])]
    assert address_of(a_request(one)) == address_of(a_request(other))
