"""Typed answers, from the provider's JSON over HTTP and from each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from cognition import Attribution
from cognition.domain.entry import Layer
from cognition.errors import OutputInvalid
from cognition.testing import Reply
from tests.integration.engine.stage import Stage


class Triage(BaseModel):
    """Where a ticket goes."""

    label: Literal["bug", "wish"]
    score: float = Field(ge=0, le=1)


@dataclass
class Person:
    """Somebody who is named."""

    name: str
    age: int | None = None


class Place(TypedDict):
    """Somewhere."""

    city: str


@pytest.mark.parametrize(
    ("output", "sent", "expected"),
    [
        (Triage, {"label": "bug", "score": 0.5}, Triage(label="bug", score=0.5)),
        (Literal["yes", "no"], {"response": "no"}, "no"),
        (list[Person], {"response": [{"name": "Ada", "age": 36}]}, [Person("Ada", 36)]),
        (Person, {"name": "אדה", "age": None}, Person("אדה")),
        (Place, {"city": "Zürich"}, {"city": "Zürich"}),
        (list[Triage], {"response": []}, []),
        (int, {"response": 7}, 7),
        (dict[str, int], {"a": 1}, {"a": 1}),
    ],
    ids=["model", "literal", "dataclasses", "dataclass", "typed-dict", "empty-list", "int", "mapping"],
)
@pytest.mark.parametrize("model", ["openai-chat:gpt-5-mini", "openai:gpt-5-mini"])
def test_an_output_has_its_type_in_every_layer(
    stage: Stage, model: str, output: Any, sent: object, expected: object
) -> None:
    """The provider's answer, L1's and L2's are the same value of the same type."""
    stage.provider.default = Reply(output=sent)
    engine = stage.open()
    done = [stage.ask(engine, output=output, model=model) for _ in range(2)]
    stage.flush_redis()
    done.append(stage.ask(engine, output=output, model=model))
    assert ["provider", "l1", "l2"] == [one.layer for one in done]
    assert [expected] * 3 == [one.output for one in done]
    assert {type(expected)} == {type(one.output) for one in done}


def test_an_answer_that_does_not_fit_is_asked_for_again(stage: Stage) -> None:
    """A wrong answer is an attempt that was paid, and is never kept."""
    stage.provider.script(Reply(output={"label": "question", "score": 2}), Reply(output={"label": "wish", "score": 1}))
    engine = stage.open()
    done = stage.ask(engine, output=Triage)
    assert (Triage(label="wish", score=1), 2) == (done.output, done.attempts)
    assert ["l1"] == stage.layers(engine, output=Triage)
    assert [("failed_billed", "OutputInvalid"), ("ok", None)] == [
        (row["status"], row["error"]) for row in stage.ledger() if row["status"] != "cache_hit"
    ]


def test_an_answer_that_never_fits_is_one_sentence(stage: Stage) -> None:
    """The error names the place, not the answer, which may be confidential."""
    stage.provider.default = Reply(output={"label": "confidential", "score": 0.5})
    with pytest.raises(OutputInvalid, match=r"does not fit the output type at label; ask again") as caught:
        stage.ask(stage.open(), output=Triage)
    assert "confidential" not in str(caught.value)
    assert 3 == stage.provider.count


def test_an_entry_that_no_longer_fits_is_a_miss(stage: Stage) -> None:
    """A type whose checks became stricter is not given an answer from before."""

    class Score(BaseModel):
        value: int

    engine = stage.open()
    stage.provider.script(Reply(output={"value": -1}))
    stage.ask(engine, output=Score)

    class Stricter(Score):
        def model_post_init(self, _: object) -> None:
            if self.value < 0:
                raise ValueError

    Stricter.__name__ = Stricter.__qualname__ = "Score"
    stage.provider.script(Reply(output={"value": 1}))
    done = stage.ask(engine, output=Stricter)
    assert ("provider", 1) == (done.layer, done.output.value)


def test_text_of_every_kind_survives(stage: Stage) -> None:
    """Emoji, right-to-left text and NUL come back as they were, from each layer, whatever they were asked with."""
    text = "שלום 👩‍🚀 \u202eabc\u202c naïve\x00façade"
    stage.provider.default = Reply(text=text)
    engine = stage.open()
    asked = {"instructions": text, "attribution": Attribution(tags=(text,), user=text, team=text)}
    done = [stage.ask(engine, text, **asked) for _ in range(2)]
    stage.flush_redis()
    done.append(stage.ask(engine, text, **asked))
    assert [("provider", text), ("l1", text), ("l2", text)] == [(str(one.layer), one.text) for one in done]
    assert text in stage.provider.calls[0].body["messages"][-1]["content"]
    assert engine.ledger.flush()
    assert 3 == len(stage.ledger())
    assert 1 == engine.cache.invalidate(tag=text)[Layer.L2]
