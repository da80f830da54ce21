"""What a spool must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from cognition.domain.settlement import Settlement
from cognition.errors import CacheUnavailable, LedgerFull
from cognition.resilience.spool import Spool
from cognition.testing.contracts.samples import a_row

MakeSpool = Callable[[int], Spool]


class SpoolContract:
    """Fixture to give: `make` is a function that returns a spool, all of them of the same, empty place.

    Its argument is how many bytes may wait there.
    """

    @pytest.fixture
    def spool(self, make: MakeSpool) -> Spool:
        """Return an empty spool with plenty of room."""
        return make(10_000_000)

    def test_an_empty_one_hands_nothing_over(self, spool: Spool) -> None:
        """Nothing waits, so all is taken."""
        assert spool.replay(_unexpected)
        assert not spool.waits
        state = spool.state()
        assert (0, 0, 0, 10_000_000) == (state.rows, state.rejected, state.used_bytes, state.limit_bytes)

    def test_what_is_kept_is_handed_over_once_and_as_it_was(self, spool: Spool) -> None:
        """In order, with who pays, and with the very money."""
        given = [
            Settlement(row=a_row("0.123456789"), held=True),
            Settlement(row=a_row("0.2"), subjects={"user": "alice", "flow_run": "run-1"}),
            Settlement(row=a_row(None)),
        ]
        spool.append(given[:2])
        spool.append(given[2:])
        assert spool.waits
        assert 3 == spool.state().rows

        assert given == taken(spool)
        assert not spool.waits
        assert [] == taken(spool)

    def test_what_is_not_taken_is_handed_over_again(self, spool: Spool) -> None:
        """The store went away once more."""
        given = some(2)
        spool.append(given)
        assert not spool.replay(lambda _: False)
        assert given == taken(spool)

    def test_what_was_interrupted_is_handed_over_again(self, spool: Spool) -> None:
        """Whoever takes it must bear to be given it twice."""
        given = some(2)
        spool.append(given)

        def fail(_: Sequence[Settlement]) -> bool:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            spool.replay(fail)
        assert given == taken(spool)

    def test_what_comes_meanwhile_is_not_lost(self, spool: Spool) -> None:
        """Calls end while others are replayed."""
        first, later = some(2), some(1)
        spool.append(first)

        def take(settlements: Sequence[Settlement]) -> bool:
            assert list(settlements) == first
            spool.append(later)
            return True

        assert spool.replay(take)
        assert later == taken(spool)

    def test_what_a_living_one_writes_is_its_own(self, spool: Spool, make: MakeSpool) -> None:
        """Until it closes; all see how much waits."""
        other = make(10_000_000)
        given = some(2)
        spool.append(given)
        assert [] == taken(other)
        assert 2 == other.state().rows

        spool.close()
        assert given == taken(other)
        assert 0 == spool.state().rows

    def test_after_closing_it_goes_on(self, spool: Spool) -> None:
        """A call may end after its engine was closed."""
        first, later = some(1), some(1)
        spool.append(first)
        spool.close()
        spool.close()
        spool.append(later)
        assert first + later == taken(spool)

    def test_what_is_rejected_is_kept_aside(self, spool: Spool) -> None:
        """Once, however often it is said; it is not handed over again."""
        given = some(3)
        for _ in range(2):
            spool.reject(given[:2])
        assert [] == taken(spool)
        assert 2 == spool.state().rejected

    def test_a_full_one_takes_nothing_more(self, make: MakeSpool) -> None:
        """New attempts are stopped before those under way find no room; after a replay there is room again."""
        spool = make(10_000)
        spool.require_room()
        spool.append(kept := some(12))
        with pytest.raises(LedgerFull, match="raise COGNITION_SPOOL_LIMIT_MB") as refused:
            spool.require_room()
        assert 10_000 == refused.value.limit_bytes
        spool.append(under_way := some(1))
        with pytest.raises(CacheUnavailable):
            spool.append(some(10))

        assert kept + under_way == taken(spool)
        spool.require_room()

    def test_the_limit_is_of_all_together(self, make: MakeSpool) -> None:
        """A place has one disk."""
        first, second = make(10_000), make(10_000)
        first.append(some(4))
        second.append(some(4))
        second.require_room()
        first.append(some(4))
        with pytest.raises(LedgerFull):
            second.require_room()

    def test_many_threads_keep_at_once(self, spool: Spool) -> None:
        """Nothing is lost or mixed up, also while others replay."""
        given = some(200)
        replayed: list[Settlement] = []

        def take(settlements: Sequence[Settlement]) -> bool:
            replayed.extend(settlements)
            return True

        def keep(number: int) -> None:
            spool.append(given[number : number + 1])
            if number % 50 == 0:
                spool.replay(take)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(keep, range(200)))
        spool.replay(take)
        assert names(given) == names(replayed)


def some(count: int) -> list[Settlement]:
    """Return settlements of attempts of their own."""
    return [Settlement(row=a_row(str(Decimal(1) / 8)), held=True) for _ in range(count)]


def names(settlements: Sequence[Settlement]) -> list[str]:
    """Return whose they are, in a fixed order."""
    return sorted(one.row.request_id for one in settlements)


def taken(spool: Spool) -> list[Settlement]:
    """Return what a spool hands over."""
    found: list[Settlement] = []

    def take(settlements: Sequence[Settlement]) -> bool:
        found.extend(settlements)
        return True

    assert spool.replay(take)
    return found


def _unexpected(_: Sequence[Settlement]) -> bool:
    raise AssertionError("There was nothing to hand over.")
