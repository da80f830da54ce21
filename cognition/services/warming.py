"""Warming: asking before anybody waits for the answer, within limits, and saying what was left and why.

What will be asked comes from a list or a file, or from the ledger (refresh-ahead). The ledger and the cache keep keys,
not prompts, and a key cannot be read backwards. Of all tables only L3's hold the text of a question; a request that is
rebuilt from it, with the options of the run, is the one that was asked if and only if its key is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol

from cognition.domain.attribution import Attribution, attribution_of
from cognition.domain.completion import Completion, CompletionRequest, Prompt
from cognition.domain.entry import Address, CacheEntry
from cognition.domain.fingerprint import address_of
from cognition.domain.warming import WARM_TAG, Frequent, Warmed, WarmPlan, Wish
from cognition.errors import ConfigurationError
from cognition.ports import Clock, DurableStore
from cognition.services.warm_run import Kept, WarmRun

_BATCH: Final = 500  # addresses in one look-up

DUPLICATE: Final = "the same request as another one of the list"
FRESH: Final = "cached, and not about to expire"
RARE: Final = "asked too seldom"
UNKNOWN_PROMPT: Final = "its prompt is kept nowhere: only the semantic layer keeps prompts"
OTHER_REQUEST: Final = "asked with other instructions, settings or output than this run's"


class WarmStore(Protocol):
    """What was asked before; see `cognition.adapters.postgres.frequent`."""

    def frequent(self, tenant: str, since: datetime, least: int, limit: int) -> list[Frequent]:
        """Return what was asked most often, most first; what warming asked does not count."""
        ...

    def calls(self, tenant: str, since: datetime, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return how often each request was asked; those that were not are left out."""
        ...


class Doors(Protocol):
    """What warming needs of the engine that it belongs to."""

    def complete(self, prompt: Prompt, **options: Any) -> Completion[Any]:
        """Return the answer."""
        ...

    def request(self, prompt: Prompt, **options: Any) -> CompletionRequest:
        """Return the request that `complete` would make."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmParts:
    """What warming works with.

    Attributes:
        durable: L2, which says what is cached and until when.
        store: What was asked before; None where nothing counts.
        settle: Returns when L2 has all copies that were made before.
        flush: Writes ledger rows of this process that wait.
        clock: Returns the present time.
    """

    durable: DurableStore
    store: WarmStore | None
    settle: Callable[[], None]
    flush: Callable[[], bool]
    clock: Clock


class Warming:
    """Warms the cache of one tenant."""

    def __init__(self, parts: WarmParts, tenant: str, doors: Doors) -> None:
        """Warm the cache of a tenant.

        Args:
            parts: What it works with.
            tenant: Whose cache.
            doors: The engine.
        """
        self._parts = parts
        self._tenant = tenant
        self._doors = doors

    def wishes(
        self,
        wishes: Sequence[Wish],
        plan: WarmPlan | None = None,
        *,
        least: int = 0,
        window: timedelta = timedelta(days=1),
        **options: Any,
    ) -> Warmed:
        """Ask for the answers that are missing or about to expire.

        Args:
            wishes: What will be asked.
            plan: How far to go.
            least: Leave what was asked less often than this within the window.
            window: How far to look back for that.
            **options: As for `Cognition.complete`, for all of them; a wish's own options win.

        Raises:
            ConfigurationError: A wish or an option cannot be right; nothing was asked.
            CacheUnavailable: PostgreSQL does not answer.
        """
        kept, skipped = self._kept(wishes, options)
        if least > 0:
            asked = self._store().calls(self._tenant, self._parts.clock() - window, [one.address.key for one in kept])
            often = [one for one in kept if asked.get(one.address.key, 0) >= least]
            skipped[RARE] += len(kept) - len(often)
            kept = often
        return self._run(len(wishes), kept, skipped, plan or WarmPlan())

    def frequent(
        self,
        plan: WarmPlan | None = None,
        *,
        least: int = 2,
        window: timedelta = timedelta(days=1),
        limit: int = 1000,
        **options: Any,
    ) -> Warmed:
        """Ask anew for what is asked often and about to expire, or gone already.

        Requests are rebuilt from the questions that L3 keeps. One that was made with other options than these is left,
        and so is one without an entry in L3.

        Args:
            plan: How far to go.
            least: How often at least a request was asked.
            window: Within which time.
            limit: How many requests are looked at.
            **options: As for `Cognition.complete`, such as `instructions`, as those requests were made.

        Raises:
            ConfigurationError: An option cannot be right; nothing was asked.
            CacheUnavailable: PostgreSQL does not answer.
        """
        found = self._store().frequent(self._tenant, self._parts.clock() - window, least, limit)
        skipped: Counter[str] = Counter()
        wishes: list[Wish] = []
        costs: dict[bytes, Decimal] = {}
        for one in found:
            if one.text is None or not one.text:
                skipped[UNKNOWN_PROMPT] += 1
                continue
            wish = Wish(one.text, {"namespace": one.namespace, "model": one.model})
            if self._address(wish, options).key != one.key:
                skipped[OTHER_REQUEST] += 1
                continue
            wishes.append(wish)
            if one.cost_usd:
                costs[one.key] = one.cost_usd
        kept, doubled = self._kept(wishes, options, costs)
        return self._run(len(found), kept, skipped + doubled, plan or WarmPlan())

    def _store(self) -> WarmStore:
        if self._parts.store is None:
            raise ConfigurationError("How often something was asked stands in PostgreSQL; set COGNITION_DATABASE_URL.")
        self._parts.flush()
        return self._parts.store

    def _address(self, wish: Wish, options: Mapping[str, Any]) -> Address:
        given = {**options, **wish.options}
        return address_of(self._doors.request(wish.prompt, **given))

    def _kept(
        self, wishes: Iterable[Wish], options: Mapping[str, Any], costs: Mapping[bytes, Decimal] | None = None
    ) -> tuple[list[Kept], Counter[str]]:
        """Return each request once, with what is known of its answer, and what was left."""
        booked = attribution_of(options.get("attribution"))
        marked = Attribution(tags=(*booked.tags, WARM_TAG)).with_defaults_from(booked)
        by_key: dict[bytes, Kept] = {}
        skipped: Counter[str] = Counter()
        for wish in wishes:
            address = self._address(wish, options)
            if address.key in by_key:
                skipped[DUPLICATE] += 1
                continue
            given = {**options, **wish.options, "attribution": marked}
            by_key[address.key] = Kept(address, wish.prompt, given, (costs or {}).get(address.key))
        return list(by_key.values()), skipped

    def _run(self, wishes: int, kept: Sequence[Kept], skipped: Counter[str], plan: WarmPlan) -> Warmed:
        entries = self._entries([one.address for one in kept])
        soon = self._parts.clock() + plan.ahead
        due: list[Kept] = []
        for one in kept:
            entry = entries.get(one.address.key)
            if entry is not None and entry.expires_at > soon:
                skipped[FRESH] += 1
            else:
                due.append(one.holding(entry))
        run = WarmRun(self._doors.complete, plan)
        run.work(due)
        self._parts.settle()
        held = self._entries([one.address for one in run.answered])
        unkept = sum(one.address.key not in held for one in run.answered)
        return run.result(wishes, skipped, unkept)

    def _entries(self, addresses: Sequence[Address]) -> dict[bytes, CacheEntry]:
        """Return what L2 holds that is fresh, by key."""
        held: dict[bytes, CacheEntry] = {}
        now = self._parts.clock()
        for start in range(0, len(addresses), _BATCH):
            part = addresses[start : start + _BATCH]
            for address, found in zip(part, self._parts.durable.get_many(part), strict=True):
                if found.entry is not None and found.entry.is_fresh(now):
                    held[address.key] = found.entry
        return held
