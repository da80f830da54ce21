"""How long a similar question's answer may live, and that nothing which was declared wrong comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cognition import Attribution
from cognition.domain.entry import Layer
from cognition.domain.fingerprint import address_of
from cognition.errors import ConfigurationError
from cognition.events import NotStored
from tests.unit.memory_engine import GatedProvider, Rig, eventually
from tests.unit.near import ASKED, ASKED_TOO, CACHED, FAR, LIVES, NEGATED, MakeNear, asked_of_provider, embedded


def test_the_exact_layers_forget_before_l3_does(near: Rig) -> None:
    """A similar question is answered for a day, then by the provider."""
    near.engine.complete(CACHED)
    near.clock.advance(timedelta(hours=23, minutes=59))
    assert "l3" == near.layer(ASKED)
    near.clock.advance(timedelta(minutes=1))
    assert "provider" == near.layer(ASKED)


def test_a_copy_never_outlives_its_original(near: Rig) -> None:
    """A copy that was made in the last minute of the original ends with it, in both layers."""
    near.engine.complete(CACHED)
    near.clock.advance(timedelta(hours=23, minutes=59))
    near.engine.complete(ASKED)
    near.settle()
    address = address_of(near.engine.request(ASKED))
    ends = near.clock() + timedelta(minutes=1)
    copies = [store.get(address).entry for store in (near.fast, near.durable)]
    assert [ends, ends] == [copy.expires_at for copy in copies if copy]
    near.clock.advance(timedelta(minutes=1))
    assert "provider" == near.layer(ASKED)


def test_hits_do_not_prolong_a_life(near: Rig) -> None:
    """However often copies are made, the answer ends a day after it was made."""
    near.engine.complete(CACHED)
    layers: list[str] = []
    for _ in range(24):
        near.clock.advance(timedelta(hours=1))
        layers.append(near.layer(ASKED))
    assert ["l3"] * 23 + ["provider"] == layers


def test_a_short_life_of_l3_holds_for_copies(near: Rig) -> None:
    """The shortest life of all layers counts."""
    policy = replace(LIVES, l3_ttl=timedelta(minutes=2))
    near.engine.complete(CACHED, cache=policy)
    near.engine.complete(ASKED, cache=policy)
    near.clock.advance(timedelta(minutes=3))
    assert "provider" == near.layer(ASKED)


SUPPORT = Attribution(team="support")
SELECTIONS: dict[str, Callable[[Rig], dict[str, Any]]] = {
    "request": lambda rig: {"request": rig.engine.request(CACHED)},
    "namespace": lambda _: {"namespace": "default"},
    "tag": lambda _: {"tag": "team:support"},
    "model": lambda rig: {"model": rig.settings.model},
    "age": lambda _: {"older_than": timedelta(0)},
    "similar": lambda _: {"similar_to": CACHED},
    "similar-request": lambda rig: {"similar_to": rig.engine.request(ASKED)},
}


@pytest.mark.parametrize("select", SELECTIONS.values(), ids=SELECTIONS)
def test_invalidation_reaches_l3_and_the_copies(near: Rig, select: Callable[[Rig], dict[str, Any]]) -> None:
    """Neither the question, nor a similar one, nor a copy for one is answered from the cache any more."""
    near.engine.complete(CACHED, attribution=SUPPORT)
    near.engine.complete(ASKED)
    near.clock.advance(timedelta(seconds=1))
    dropped = near.engine.cache.invalidate(**select(near))
    assert (2, 1) == (dropped[Layer.L2], dropped[Layer.L3])
    assert ["provider", "l3"] == [near.layer(prompt) for prompt in (ASKED, CACHED)]


def test_a_copy_goes_without_its_original(near: Rig) -> None:
    """Invalidating the asked question alone leaves the neighbour, which answers it again."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    assert 0 == near.engine.cache.invalidate(request=near.engine.request(ASKED))[Layer.L3]
    assert ["l3", "l1"] == [near.layer(ASKED) for _ in range(2)]


def test_what_is_like_something_goes_and_the_rest_stays(near: Rig) -> None:
    """By similarity alone, whatever the guard says of it; a lower bar takes more."""
    for prompt in (CACHED, NEGATED, FAR):
        near.engine.complete(prompt)
    dropped = near.engine.cache.invalidate(similar_to=CACHED, above=0.5)
    assert (2, 2) == (dropped[Layer.L2], dropped[Layer.L3])
    near.fast.clear()
    assert "l2" == near.layer(FAR)


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ({"similar_to": ""}, "empty or too long"),
        ({"similar_to": "word " * 300}, "empty or too long"),
        ({"similar_to": CACHED, "above": 0.0}, "above 0 and at most 1"),
        ({"similar_to": CACHED, "above": 1.5}, "above 0 and at most 1"),
        ({}, "similar_to"),
    ],
)
def test_what_cannot_be_compared_is_refused(near: Rig, conditions: dict[str, Any], sentence: str) -> None:
    """Nothing is dropped by mistake."""
    near.engine.complete(CACHED)
    with pytest.raises(ConfigurationError, match=sentence):
        near.engine.cache.invalidate(**conditions)
    assert "l3" == near.layer(ASKED)


def test_without_an_embedder_nothing_is_similar(make_near: MakeNear) -> None:
    """The sentence says which variable to set."""
    with pytest.raises(ConfigurationError, match="COGNITION_EMBEDDER"):
        make_near(embedder=None).engine.cache.invalidate(similar_to=CACHED)


def test_what_was_invalidated_while_the_provider_was_asked_is_not_kept(make_near: MakeNear) -> None:
    """The caller gets the answer, L3 does not."""
    provider = GatedProvider()
    rig = make_near(provider=provider)
    caller = threading.Thread(target=rig.engine.complete, args=(CACHED,))
    caller.start()
    eventually(lambda: len(provider.requests) == 1)
    rig.engine.cache.invalidate(namespace="default")
    provider.gate.set()
    caller.join()
    assert ["invalidated meanwhile"] == [event.reason for event in rig.seen(NotStored)]
    assert 0 == len(rig.semantic)
    assert "provider" == rig.layer(ASKED)


def test_a_survivor_of_an_invalidation_still_answers(near: Rig) -> None:
    """Its copies carry the namespace's new generation, or the exact layers would refuse them."""
    near.engine.complete(CACHED)
    near.engine.complete(FAR)
    near.engine.cache.invalidate(request=near.engine.request(FAR))
    assert ["l3", "l1"] == [near.layer(ASKED) for _ in range(2)]
    near.fast.clear()
    assert "l2" == near.layer(ASKED)


def test_purging_deletes_what_expired_in_l3(near: Rig) -> None:
    """What has a day to live stays longer than what has an hour."""
    near.engine.complete(CACHED)
    near.clock.advance(timedelta(hours=2))
    assert (1, 1) == (near.engine.cache.purge(), len(near.semantic))
    near.clock.advance(timedelta(days=1))
    assert (1, 0) == (near.engine.cache.purge(), len(near.semantic))


def test_invalidating_asks_no_provider(near: Rig) -> None:
    """One text is embedded, at most."""
    near.engine.complete(CACHED)
    near.engine.cache.invalidate(similar_to=ASKED_TOO)
    assert ([CACHED], [CACHED, ASKED_TOO]) == (asked_of_provider(near), embedded(near))
