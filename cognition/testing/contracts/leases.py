"""What a lease store must do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from cognition.ports import LeaseStore, LeaseView
from cognition.testing.contracts.samples import an_address

Wait = Callable[[float], None]

_LONG = 60.0
_SHORT = 0.2
_BINARY = bytes(range(256))


class LeaseStoreContract:
    """Fixtures to give.

    `leases` is a store without leases. `wait` is a function that lets so many seconds pass for it: it advances the
    store's clock or sleeps.
    """

    def test_the_first_one_gets_it(self, leases: LeaseStore) -> None:
        """Everybody is told the token of the first one, the first one too when it asks again."""
        address, first, second = an_address(), _token(), _token()
        assert [first, first, first] == [leases.acquire(address, token, _LONG) for token in (first, second, first)]
        assert LeaseView(holder=first) == leases.view(address)

    def test_of_many_threads_one_gets_it(self, leases: LeaseStore) -> None:
        """All see the same winner."""
        address = an_address()

        def acquire(token: str) -> str:
            return leases.acquire(address, token, _LONG)

        with ThreadPoolExecutor(max_workers=8) as threads:
            holders = set(threads.map(acquire, [_token() for _ in range(32)]))
        assert 1 == len(holders)

    def test_addresses_are_apart(self, leases: LeaseStore) -> None:
        """A lease on one question, tenant or namespace does not touch others."""
        addresses = [an_address(), an_address("other"), an_address(tenant="umbrella"), an_address(namespace="billing")]
        tokens = [_token() for _ in addresses]
        pairs = list(zip(addresses, tokens, strict=True))
        assert tokens == [leases.acquire(address, token, _LONG) for address, token in pairs]

    def test_nobody_holds_what_nobody_took(self, leases: LeaseStore) -> None:
        """An unknown lease is free and has no outcome."""
        assert LeaseView() == leases.view(an_address())

    def test_a_lease_runs_out(self, leases: LeaseStore, wait: Wait) -> None:
        """After its time it is free: its holder may be dead."""
        address, dead, living = an_address(), _token(), _token()
        leases.acquire(address, dead, _SHORT)
        wait(2 * _SHORT)
        assert None is leases.view(address).holder
        assert living == leases.acquire(address, living, _LONG)

    def test_asking_again_does_not_prolong(self, leases: LeaseStore, wait: Wait) -> None:
        """Those who wait keep asking; the lease of a dead holder runs out all the same."""
        address, dead = an_address(), _token()
        leases.acquire(address, dead, _SHORT)
        leases.acquire(address, _token(), _LONG)
        wait(2 * _SHORT)
        assert None is leases.view(address).holder

    def test_a_holder_prolongs(self, leases: LeaseStore, wait: Wait) -> None:
        """A renewed lease outlives its first time."""
        address, token = an_address(), _token()
        leases.acquire(address, token, _SHORT)
        assert leases.renew(address, token, _LONG)
        wait(2 * _SHORT)
        assert token == leases.view(address).holder

    def test_others_do_not_prolong(self, leases: LeaseStore, wait: Wait) -> None:
        """A token that does not hold the lease changes nothing."""
        address, token = an_address(), _token()
        leases.acquire(address, token, _SHORT)
        assert not leases.renew(address, _token(), _LONG)
        wait(2 * _SHORT)
        assert None is leases.view(address).holder

    def test_a_lost_lease_is_not_prolonged(self, leases: LeaseStore, wait: Wait) -> None:
        """Who slept too long learns it, and does not take the lease from its new holder."""
        address, slow, new = an_address(), _token(), _token()
        leases.acquire(address, slow, _SHORT)
        wait(2 * _SHORT)
        assert not leases.renew(address, slow, _LONG)
        leases.acquire(address, new, _LONG)
        assert not leases.renew(address, slow, _LONG)
        assert new == leases.view(address).holder

    def test_an_outcome_is_left(self, leases: LeaseStore) -> None:
        """After a release the lease is free, and any bytes the holder left can be read, with its token."""
        address, token = an_address(), _token()
        leases.acquire(address, token, _LONG)
        leases.release(address, token, _BINARY, _LONG)
        assert LeaseView(None, token, _BINARY) == leases.view(address)

    def test_an_empty_outcome_is_an_outcome(self, leases: LeaseStore) -> None:
        """No bytes are not the same as nothing."""
        address, token = an_address(), _token()
        leases.acquire(address, token, _LONG)
        leases.release(address, token, b"", _LONG)
        assert LeaseView(None, token, b"") == leases.view(address)

    def test_nothing_may_be_left(self, leases: LeaseStore) -> None:
        """A holder that was cancelled frees the lease and leaves no outcome."""
        address, token = an_address(), _token()
        leases.acquire(address, token, _LONG)
        leases.release(address, token, None, _LONG)
        assert LeaseView() == leases.view(address)

    def test_an_outcome_runs_out(self, leases: LeaseStore, wait: Wait) -> None:
        """After its time nobody waits for it any more."""
        address, token = an_address(), _token()
        leases.acquire(address, token, _LONG)
        leases.release(address, token, _BINARY, _SHORT)
        wait(2 * _SHORT)
        assert LeaseView() == leases.view(address)

    def test_a_new_holder_leaves_the_outcome_to_those_who_wait(self, leases: LeaseStore) -> None:
        """Those who waited for the first holder may look only after the second one came."""
        address, first, second = an_address(), _token(), _token()
        leases.acquire(address, first, _LONG)
        leases.release(address, first, _BINARY, _LONG)
        assert second == leases.acquire(address, second, _LONG)
        assert LeaseView(second, first, _BINARY) == leases.view(address)

    def test_the_last_outcome_counts(self, leases: LeaseStore) -> None:
        """A second holder's outcome replaces the first one's."""
        address, last = an_address(), ""
        for outcome in (b"first", b"second"):
            last = _token()
            leases.acquire(address, last, _LONG)
            leases.release(address, last, outcome, _LONG)
        assert LeaseView(None, last, b"second") == leases.view(address)

    def test_others_do_not_release(self, leases: LeaseStore) -> None:
        """Who lost the lease, or never had it, neither frees it nor leaves anything."""
        address, token = an_address(), _token()
        leases.acquire(address, token, _LONG)
        leases.release(address, _token(), _BINARY, _LONG)
        assert LeaseView(holder=token) == leases.view(address)

    def test_it_answers(self, leases: LeaseStore) -> None:
        """A store that works returns from ping and has a name for messages."""
        leases.ping()
        assert leases.name


def _token() -> str:
    return uuid4().hex
