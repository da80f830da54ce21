"""How large the scopes of L3 are, as far as this process has seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal

from cognition.domain.entry import Address

Search = Literal["exact", "index"]
"""Row by row, or by the index of vectors."""

# A scope that has outgrown its search is searched slowly until it is counted again; one that has shrunk, hardly slower.
_SECONDS: dict[Search, float] = {"exact": 5.0, "index": 60.0}
# Beyond that all are forgotten; each is counted again by the next look-up.
_MOST = 10_000


class ScopeSizes:
    """Remembers for some seconds how scopes are best searched.

    What is remembered may be wrong by then: a search is only slower for it, never less exact than the index is.
    Threads need no lock: each step is one operation on a dictionary.
    """

    def __init__(self, exact_rows: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet.

        Args:
            exact_rows: Scopes of at most so many rows are searched row by row.
            clock: Returns seconds that never run backwards. For tests.
        """
        self._exact_rows = exact_rows
        self._clock = clock
        self._known: dict[tuple[str, bytes, str], tuple[Search, float]] = {}

    def search(self, fingerprint: str, addresses: Iterable[Address]) -> Search | None:
        """Return how to search the scopes of some addresses, or None when they must be counted first."""
        now = self._clock()
        searches: set[Search | None] = set()
        for address in addresses:
            search, end = self._known.get(_key(fingerprint, address), (None, 0.0))
            searches.add(search if now < end else None)
        return searches.pop() if len(searches) == 1 else None

    def note(self, fingerprint: str, address: Address, rows: int) -> None:
        """Remember how many rows the scope of an address has."""
        if len(self._known) >= _MOST:
            self._known = {}
        search: Search = "index" if rows > self._exact_rows else "exact"
        if search == "index" or rows <= self._exact_rows // 2:
            # In between, the scope may soon outgrow the search.
            self._known[_key(fingerprint, address)] = search, self._clock() + _SECONDS[search]


def _key(fingerprint: str, address: Address) -> tuple[str, bytes, str]:
    return address.tenant, address.scope_key, fingerprint
