"""Two layers as one: fastest first, copies up, lives never prolonged, invalidated answers never back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from cognition import CachePolicy
from cognition.domain.entry import Address, Bypass, CacheEntry, Hit, Layer, LookUp, Miss, Selection
from cognition.errors import CacheUnavailable
from cognition.events import Event, Invalidated, LookedUp, NotStored, StoreFailed
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services.layered_cache import LayeredCache
from cognition.services.write_behind import WriteBehind
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import MODEL, NOON, an_address, an_entry
from tests.unit.memory_engine import FragileDurable, FragileFast

PLAIN = CachePolicy(jitter=0)
ADDRESS = an_address()


class Layers:
    """The layered cache over two stores that can be taken down."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.fast = FragileFast(self.clock)
        self.durable = FragileDurable(self.clock)
        self.breakers = [
            StoreBreaker(store.name, store.ping, self.events.append) for store in (self.fast, self.durable)
        ]
        self.cache = LayeredCache(
            Guarded(self.fast, self.breakers[0]),
            Guarded(self.durable, self.breakers[1]),
            self.clock,
            self.events.append,
        )

    def store(
        self, address: Address = ADDRESS, policy: CachePolicy = PLAIN, text: str = "a", generation: int = 1
    ) -> bool:
        """Keep an answer."""
        return self.cache.store(address, an_entry(address, text, generation=generation), policy)

    def look_up(self, *addresses: Address, policy: CachePolicy = PLAIN) -> Sequence[LookUp]:
        """Look up, by default the one answer."""
        return self.cache.look_up(addresses or [ADDRESS], MODEL, policy)

    def entry(self, address: Address = ADDRESS) -> CacheEntry:
        """Return the entry that answers."""
        (found,) = self.look_up(address)
        assert isinstance(found, Hit)
        return found.entry

    def counted(self) -> list[tuple[Layer, int, int]]:
        """Return hits and misses by layer, as they were told."""
        return [(one.layer, one.hits, one.misses) for one in self.events if isinstance(one, LookedUp)]


def layer_of(found: LookUp) -> Layer | None:
    """Return which layer answered."""
    return found.layer if isinstance(found, Hit) else None


@pytest.fixture
def layers() -> Iterator[Layers]:
    """Return two layers that answer."""
    made = Layers()
    yield made
    for breaker in made.breakers:
        breaker.close()


def test_l1_answers_first(layers: Layers) -> None:
    """L2 is not even asked."""
    assert layers.store()
    assert [layer_of(found) for found in layers.look_up()] == [Layer.L1]
    assert layers.counted() == [(Layer.L1, 1, 0)]


def test_a_hit_in_l2_is_copied_to_l1(layers: Layers) -> None:
    """The next look-up is fast again."""
    layers.store()
    layers.fast.clear()
    assert [layer_of(layers.look_up()[0]) for _ in range(2)] == [Layer.L2, Layer.L1]
    assert layers.counted() == [(Layer.L1, 0, 1), (Layer.L2, 1, 0), (Layer.L1, 1, 0)]


def test_nothing_found_is_a_miss_of_both(layers: Layers) -> None:
    """The miss knows the generation, so that an answer that comes too late can be refused."""
    assert layers.look_up() == [Miss(1)]
    assert layers.counted() == [(Layer.L1, 0, 1), (Layer.L2, 0, 1)]


def test_lives_are_absolute(layers: Layers) -> None:
    """Looking up prolongs nothing."""
    layers.store()
    for _ in range(4):
        layers.clock.advance(timedelta(minutes=1))
        assert layer_of(layers.look_up()[0]) is Layer.L1
    layers.clock.advance(timedelta(minutes=1))
    assert layer_of(layers.look_up()[0]) is Layer.L2
    layers.clock.advance(timedelta(minutes=55))
    assert layers.look_up() == [Miss(1)]


def test_a_copy_ends_with_its_original(layers: Layers) -> None:
    """What has one minute left in L2 gets one minute in L1."""
    layers.store()
    layers.fast.clear()
    layers.clock.advance(timedelta(minutes=59))
    original = layers.entry()
    assert layers.entry().expires_at == original.expires_at
    layers.clock.advance(timedelta(minutes=1))
    assert layers.look_up() == [Miss(1)]


def test_lives_are_spread_by_jitter(layers: Layers) -> None:
    """Entries that are stored together do not all end together."""
    ends: set[datetime] = set()
    for number in range(20):
        layers.store(an_address(str(number)), CachePolicy(jitter=0.5))
        ends.add(layers.entry(an_address(str(number))).expires_at)
    assert len(ends) > 1
    assert all(timedelta(minutes=2.5) <= end - layers.clock() <= timedelta(minutes=7.5) for end in ends)


def test_a_stale_copy_in_l1_gives_way_to_l2(layers: Layers) -> None:
    """Generations decide, not the order of the layers."""
    layers.store(text="old")
    stale = layers.entry()
    layers.durable.invalidate(Selection(tenant="acme", namespace="support"))
    layers.fast.forget("acme", {"support": 2}, [])
    layers.fast.put([(ADDRESS, stale)])
    assert layers.look_up() == [Miss(2)]
    layers.store(text="new", generation=2)
    assert layers.entry().response.text == "new"


def test_a_copy_of_what_was_invalidated_meanwhile_is_hidden(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when L1 lost the new generation between the invalidation and the copy, and takes the old one for news."""
    layers.store()
    layers.fast.clear()
    copy = layers.fast.copy

    def copy_late(items: Sequence[tuple[Address, CacheEntry]]) -> bool:
        layers.cache.invalidate(Selection(tenant="acme", namespace="support"))
        layers.fast.clear()
        return copy(items)

    monkeypatch.setattr(layers.fast, "copy", copy_late)
    assert layer_of(layers.look_up()[0]) is Layer.L2
    monkeypatch.undo()
    assert layers.look_up() == [Miss(2)]


def test_a_semantic_copy_that_l2_refuses_leaves_l1(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A younger answer to the question itself has come between the hit and its copy."""
    layers.store()
    behind: list[Callable[[], None]] = []
    monkeypatch.setattr(layers.cache, "_behind", WriteBehind(behind.append))
    old = an_entry(ADDRESS, "copy", created_at=NOON - timedelta(hours=1), origin=an_address("far").key.hex())
    layers.cache.copy([(ADDRESS, old)], PLAIN)
    assert "copy" == layers.entry().response.text
    behind.pop()()
    assert ("a", Layer.L2) == (layers.entry().response.text, Layer.L2)


def test_an_invalidation_that_l1_missed_is_learned(layers: Layers) -> None:
    """As a refresh that asks L1 alone for the generation: its first answer is not kept, its second is."""
    layers.store()
    layers.durable.invalidate(Selection(tenant="acme", namespace="support"))
    assert Miss(1) == layers.cache.peek(an_address("new"))
    assert not layers.store(generation=1)
    assert Miss(2) == layers.cache.peek(an_address("new"))
    assert layers.store(generation=2)


def test_l2_is_asked_only_after_its_copies_came(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees that copies are written in the background: whoever needs them first writes them."""
    never: list[Callable[[], None]] = []
    monkeypatch.setattr(layers.cache, "_behind", WriteBehind(never.append))
    copy = an_entry(ADDRESS, "copy", origin=an_address("far").key.hex())
    layers.cache.copy([(ADDRESS, copy)], PLAIN)
    layers.fast.clear()
    assert layer_of(layers.look_up()[0]) is Layer.L2
    layers.cache.copy([(ADDRESS, copy)], PLAIN)
    assert 1 == layers.cache.invalidate(Selection(tenant="acme", namespace="support"))[Layer.L2]


def test_an_answer_asked_before_an_invalidation_is_refused(layers: Layers) -> None:
    """L2 refuses it, and then L1 must not keep it either, even if it has forgotten the generation."""
    layers.cache.invalidate(Selection(tenant="acme", namespace="support"))
    layers.fast.clear()
    assert not layers.store(generation=1)
    assert layers.look_up() == [Miss(2)]
    assert [event.reason for event in layers.events if isinstance(event, NotStored)] == ["invalidated meanwhile"]


def test_an_invalidation_reaches_both_layers(layers: Layers) -> None:
    """It tells how many each layer dropped; other answers of the namespace come back from L2."""
    others = [an_address(str(number)) for number in range(3)]
    for address in (ADDRESS, *others):
        layers.store(address)
    dropped = layers.cache.invalidate(Selection(tenant="acme", key=ADDRESS.key))
    assert dropped == {Layer.L1: 1, Layer.L2: 1, Layer.L3: 0}
    assert [layer_of(found) for found in layers.look_up(ADDRESS, *others)] == [None, Layer.L2, Layer.L2, Layer.L2]
    assert [event.tenant for event in layers.events if isinstance(event, Invalidated)] == ["acme"]


def test_an_invalidation_needs_both_stores(layers: Layers) -> None:
    """The caller must know that something may still be answered."""
    layers.store()
    layers.fast.forget = dead  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(CacheUnavailable):
        layers.cache.invalidate(Selection(tenant="acme", namespace="support"))


def dead(*_: object) -> int:
    """Fail like a store that does not answer."""
    raise CacheUnavailable.of("memory", "no connection")


def test_a_batch_asks_each_layer_once(layers: Layers) -> None:
    """In order, with duplicates, and only what is still open goes further down."""
    addresses = [an_address(str(number)) for number in range(6)]
    for number in (0, 1, 2, 3):
        layers.store(addresses[number])
    layers.fast.forget("acme", {}, addresses[2:])
    asked = [*addresses, addresses[0], addresses[2]]
    found = layers.look_up(*asked)
    l1, l2 = Layer.L1, Layer.L2
    assert [layer_of(one) for one in found] == [l1, l1, l2, l2, None, None, l1, l2]
    assert [one.entry.key for one in found if isinstance(one, Hit)] == [
        address.key.hex() for address, one in zip(asked, found, strict=True) if isinstance(one, Hit)
    ]
    assert layers.counted() == [(l1, 3, 5), (l2, 3, 2)]
    assert layers.fast.batches == [8]
    assert [layer_of(one) for one in layers.look_up(*addresses[:4])] == [l1] * 4


def test_a_dead_l1_is_asked_once(layers: Layers) -> None:
    """Then L2 answers alone; nothing is counted for a layer that did not answer."""
    layers.store()
    layers.fast.outage.down = True
    assert [layer_of(layers.look_up()[0]) for _ in range(3)] == [Layer.L2] * 3
    assert layers.counted() == [(Layer.L2, 1, 0)] * 3
    assert sum(isinstance(event, StoreFailed) for event in layers.events) == 1


def test_a_dead_l2_leaves_l1(layers: Layers) -> None:
    """Answers are kept and found in L1 alone."""
    layers.durable.outage.down = True
    assert layers.store()
    assert layer_of(layers.look_up()[0]) is Layer.L1
    assert layers.look_up(an_address("other")) == [Miss(1)]


def test_without_stores_everything_is_a_miss(layers: Layers) -> None:
    """A miss of unknown generation, and nothing is kept."""
    layers.fast.outage.down = layers.durable.outage.down = True
    assert layers.look_up() == [Miss(None)]
    assert not layers.store()


@pytest.mark.parametrize("mode", ["refresh", "bypass"])
def test_a_policy_may_forbid_to_look(layers: Layers, mode: str) -> None:
    """Then no layer is asked."""
    layers.store()
    policy = CachePolicy(mode="refresh" if mode == "refresh" else "bypass")
    assert layers.look_up(policy=policy) == [Bypass()]
    assert layers.counted() == []


def test_a_peek_is_not_counted(layers: Layers) -> None:
    """Whoever waited for another's answer has looked it up once already."""
    layers.store()
    assert layer_of(layers.cache.peek(ADDRESS)) is Layer.L1
    assert layers.counted() == []


def test_eviction_leaves_l2(layers: Layers) -> None:
    """What the fast store drops for space is still there."""
    layers.store()
    assert layers.cache.evict_from_l1("acme", [ADDRESS]) == 1
    assert layer_of(layers.look_up()[0]) is Layer.L2
