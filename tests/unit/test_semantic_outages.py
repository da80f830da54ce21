"""What is left of the cache when the embedder or pgvector fails: everything but L3."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cognition import Completion
from cognition.adapters.memory import MemoryEmbedder, MemoryVerifier
from cognition.domain.entry import Layer
from cognition.domain.semantic import EmbedderIdentity
from cognition.errors import CacheUnavailable, CognitionError, ConfigurationError
from cognition.events import StoreFailed, StoreRecovered
from tests.unit.memory_engine import Rig, eventually
from tests.unit.near import ASKED, ASKED_THEN, CACHED, FAR, FAR_AGAIN, LENIENT, SETTINGS, MakeNear, embedded

DOWN = CacheUnavailable.of("embedder", "it was taken down")
NO_TABLE = ConfigurationError("The database lacks tables; run 'cognition db upgrade'.")
WRONG_KEY = ConfigurationError("memory:words knows no such key; set another one.")


class Unknown(MemoryEmbedder):
    """An embedder that must be asked before anything is known of it, as some behind an API must."""

    @property
    def identity(self) -> EmbedderIdentity:
        """Return it, or fail while it is down."""
        if self.error is not None:
            raise self.error
        return super().identity


class Damaged(MemoryEmbedder):
    """An embedder whose file cannot be read, which shows when the first text is cut into words."""

    def fits(self, text: str) -> bool:
        """Fail while it is down."""
        if self.error is not None:
            raise self.error
        return super().fits(text)


def _fails(rig: Rig, error: CognitionError | None) -> None:
    assert rig.embedder is not None
    rig.embedder.error = error


def _l3_is_back(rig: Rig) -> bool:
    return "embedder" in {event.store for event in rig.seen(StoreRecovered)}


@pytest.mark.parametrize("error", [DOWN, WRONG_KEY], ids=["down", "misconfigured"])
@pytest.mark.parametrize("kind", [MemoryEmbedder, Unknown, Damaged])
def test_without_its_embedder_only_l3_is_missing(
    make_near: MakeNear, kind: type[MemoryEmbedder], error: CognitionError
) -> None:
    """No caller sees an error; an event says what is wrong, once, and L3 is back when the embedder is."""
    rig = make_near(embedder=kind())
    _fails(rig, error)
    assert ["provider", "l1", "provider"] == [rig.layer(prompt) for prompt in (CACHED, CACHED, ASKED)]
    assert ["embedder"] == [event.store for event in rig.seen(StoreFailed)]
    assert str(error).rstrip(".") in rig.seen(StoreFailed)[0].reason
    _fails(rig, None)
    eventually(lambda: _l3_is_back(rig))
    assert ["provider", "l3"] == [rig.layer(prompt) for prompt in (FAR, FAR_AGAIN)]


def test_a_batch_goes_on_without_an_embedder(near: Rig) -> None:
    """Every prompt is answered."""
    _fails(near, DOWN)
    assert ["provider", "provider"] == [done.layer for done in near.engine.complete_many([CACHED, ASKED])]
    _fails(near, None)


async def test_async_callers_go_on_without_an_embedder(near: Rig) -> None:
    """Through the other door too."""
    _fails(near, DOWN)
    done: Completion[str] = await near.engine.acomplete(CACHED)
    assert "provider" == done.layer
    _fails(near, None)


def test_a_paid_answer_is_kept_when_the_embedder_fails_meanwhile(near: Rig) -> None:
    """A refreshed answer reaches the exact layers, although nothing can be said about its meaning."""
    _fails(near, WRONG_KEY)
    assert "provider" == near.layer(CACHED, cache="refresh")
    assert "l1" == near.layer(CACHED)
    assert 0 == len(near.semantic)
    _fails(near, None)


def test_without_pgvector_the_exact_layers_answer(near: Rig) -> None:
    """A breaker of its own: L2 goes on, although both are tables of one database."""
    near.engine.complete(CACHED)
    near.semantic.outage.down = True
    assert ["provider", "l1"] == [near.layer(ASKED) for _ in range(2)]
    near.fast.clear()
    assert "l2" == near.layer(CACHED)
    assert ["pgvector"] == [event.store for event in near.seen(StoreFailed)]
    near.semantic.outage.down = False
    eventually(lambda: bool(near.seen(StoreRecovered)))
    assert "l3" == near.layer(ASKED_THEN)


def test_while_l2_is_away_only_l1_gets_a_copy(near: Rig) -> None:
    """L1 knows by itself which generation it may keep; L2 has none, also when it is back."""
    near.engine.complete(CACHED)
    near.durable.outage.down = True
    assert ["l3", "l1"] == [near.layer(ASKED) for _ in range(2)]
    near.fast.clear()
    assert "l3" == near.layer(ASKED)
    near.durable.outage.down = False


def test_while_l1_is_away_copies_are_made_in_l2(near: Rig) -> None:
    """The next caller is answered exactly."""
    near.engine.complete(CACHED)
    near.fast.outage.down = True
    assert ["l3", "l2"] == [near.layer(ASKED) for _ in range(2)]
    near.fast.outage.down = False


@pytest.mark.parametrize("broken", ["nearest", "put"])
def test_an_error_that_nobody_foresaw_costs_no_answer(
    near: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """Neither a look-up nor an answer that was paid for is lost; the log tells what to repair."""

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(near.semantic, broken, fails)
    assert ["provider", "l1"] == [near.layer(CACHED) for _ in range(2)]
    assert {"The semantic layer failed; the call goes on without it."} == {one.message for one in caplog.records}


def test_explaining_without_an_embedder_that_answers_says_so(near: Rig) -> None:
    """Explaining is no reason to fail either."""
    near.engine.complete(CACHED)
    _fails(near, DOWN)
    explanation = near.engine.cache.explain(ASKED)
    assert Layer.PROVIDER == explanation.answered_by
    assert "the embedder or its store does not answer" in explanation.semantic
    _fails(near, None)


@pytest.mark.parametrize("error", [DOWN, NO_TABLE], ids=["down", "no-table"])
def test_when_nobody_knows_the_error_the_default_holds(near: Rig, error: CognitionError) -> None:
    """Not to know how often neighbours were wrong is no reason to stop answering, and L2 goes on."""
    near.pairs.error = error
    near.engine.complete(CACHED)
    assert "l3" == near.layer(ASKED)
    near.fast.clear()
    assert "l2" == near.layer(ASKED)
    assert ["pairs"] == [event.store for event in near.seen(StoreFailed)]


@pytest.mark.parametrize("error", [DOWN, NO_TABLE], ids=["down", "misconfigured"])
def test_without_its_verifier_doubtful_neighbours_are_refused(make_near: MakeNear, error: CognitionError) -> None:
    """No caller sees an error; with it the same neighbour answers."""
    policy = replace(LENIENT, threshold=1.0, grey_band=1.0)
    verifier = MemoryVerifier()
    rig = make_near(verifier=verifier, settings=SETTINGS.model_copy(update={"semantic": policy}))
    rig.engine.complete(CACHED)
    verifier.error = error
    assert "provider" == rig.layer(ASKED)
    assert ["verifier"] == [event.store for event in rig.seen(StoreFailed)]
    verifier.error = None
    eventually(lambda: bool(rig.seen(StoreRecovered)))
    assert "l3" == rig.layer(ASKED_THEN)
    assert (CACHED, ASKED_THEN) in verifier.verified


def test_vectors_that_were_made_are_remembered_in_the_process(near: Rig) -> None:
    """After an outage of L3 nothing is embedded twice."""
    near.semantic.outage.down = True
    near.engine.complete(CACHED)
    near.engine.cache.invalidate(namespace="default")
    near.engine.complete(CACHED)
    assert [CACHED] == embedded(near)
    near.semantic.outage.down = False
