"""Circuit breakers that all processes share, as one process uses them.

While a breaker is closed or open, calls are decided by a copy that is at most a second old and renewed in the
background; only probes ask the store, and only results that change something are told to it. When the store is away,
the same state machine goes on in this process alone.

Lives on the owner loop; `distrust` may be called from any thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import NoReturn
from uuid import UUID

from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import Admission, BreakerResult, Tally, Transition
from cognition.errors import CircuitOpen
from cognition.events import (
    BreakerChanged,
    BreakerStoreAdopted,
    BreakerStoreLost,
    BreakerThresholdReached,
    CoolingDown,
    Emit,
)
from cognition.resilience import circuit_breaker
from cognition.resilience.breaker_copies import BreakerCopies, Copy
from cognition.resilience.breaker_link import BreakerLink
from cognition.resilience.breaker_news import as_own, is_current, is_news, is_routine
from cognition.resilience.breaker_store import BreakerStore
from cognition.resilience.breaker_times import BreakerTimes
from cognition.resilience.in_thread import InThread
from cognition.resilience.own_breakers import OwnBreakers
from cognition.resilience.passage import SUCCEEDED, Outcome, Passage, Ticket
from cognition.resilience.store_breaker import Guarded

_NO_PERMIT = UUID(int=0)
_SAME = timedelta(seconds=1)  # forty calls that are told of one rate limit at once are one event


class SharedBreakers:
    """Lets calls pass, or not; one for each engine."""

    def __init__(
        self,
        store: Guarded[BreakerStore],
        in_thread: InThread,
        emit: Emit,
        worker: Callable[[], str],
        times: BreakerTimes = BreakerTimes(),  # noqa: B008  frozen
    ) -> None:
        """Know nothing yet.

        Args:
            store: The shared breakers.
            in_thread: Runs what blocks.
            emit: Told about transitions and about the store's absence.
            worker: Names this process among all that share the store; asked again after a fork.
            times: How it is timed.
        """
        self._link = BreakerLink(store, in_thread, times.patience_seconds)
        self._emit = emit
        self._name_worker = worker
        self._worker = worker()
        self._times = times
        self.monotonic = times.monotonic
        self._own = OwnBreakers(emit, self._worker, times.monotonic)
        self._copies = BreakerCopies(times.idle_seconds, self._own.forget)
        self._loading: dict[BreakerKey, asyncio.Task[Copy | None]] = {}
        self._is_ticking = False
        self._is_closed = False

    def passage(self, key: BreakerKey, policy: BreakerPolicy) -> Passage:
        """Return an async context in which one call is made.

        Args:
            key: Which breaker, `BreakerKey.of(request)`.
            policy: Its numbers.
        """
        return Passage(self, key, policy)

    async def cool_down(self, key: BreakerKey, duration: timedelta, reason: str) -> None:
        """Let nobody call for a while, in any process; neutral for the state.

        Args:
            key: Which breaker.
            duration: For how long; a longer time that was agreed before stays.
            reason: `rate limited`, `quota` or another word for people.
        """
        copy = self._copies.get(key)
        longer = self._own.cool_down(key, duration, reason) if self._own.is_alone else duration
        if copy is not None:
            now = copy.now(self.monotonic())
            longer = duration - circuit_breaker.at(copy.standing, now).cooldown_left
            copy.cool_down(duration, reason, now)
        if longer > min(_SAME, duration / 2):
            self._emit(CoolingDown(key, duration.total_seconds(), reason))
            if not self._own.is_alone:
                await self._link.wait(self._link.start(self._tell_cool_down(key, duration, reason)))

    def distrust(self, key: BreakerKey) -> None:
        """Drop what is known of a breaker: the next call looks anew."""
        self._copies.drop(key)
        if not self._own.is_alone:
            self._own.forget(key)

    def close(self) -> None:
        """Look no further; calls that still run give their permits back."""
        self._is_closed = True

    def forget(self) -> None:
        """Start anew after a fork: tasks and timers belong to the parent's loop."""
        self._link.forget()
        self._worker = self._name_worker()
        self._own.forget_parent(self._worker)
        self._copies.drop_all()
        self._loading = {}
        self._is_ticking = False

    # -- in ----------------------------------------------------------------------------------------------------------

    async def enter(self, key: BreakerKey, policy: BreakerPolicy) -> Ticket:
        """Return a ticket; for `Passage`.

        Raises:
            CircuitOpen: The call may not be made.
        """
        copy = self._copies.get(key)
        now = self.monotonic()
        # While calls fail, nobody may go by an older copy: every worker that did would try for itself.
        if copy is None or copy.is_worrying or now - copy.taken_at > self._times.copy_seconds:
            copy = await self._renewed(key, policy)
            if copy is None:
                return self._enter_alone(key, policy)
            now = self.monotonic()
        copy.used_at, copy.policy = now, policy
        self._keep_fresh()
        if copy.is_well and not self._own.knows(key):
            return Ticket(generation=copy.standing.generation)
        return await self._enter_with_care(copy, policy, now)

    def holds(self, key: BreakerKey, ticket: Ticket) -> bool:
        """Whether a ticket is as good as on the day it was given; for `Passage`."""
        copy = self._copies.get(key)
        if ticket.alone or copy is None or self.monotonic() - copy.taken_at > self._times.copy_seconds:
            return ticket.permit is not None
        if copy.standing.generation != ticket.generation:
            return False
        return ticket.permit is not None or (copy.is_well and not copy.is_worrying and not self._own.knows(key))

    async def _enter_with_care(self, copy: Copy, policy: BreakerPolicy, now: float) -> Ticket:
        """Decide by a copy that is not closed and well; ask the store only for probes."""
        key = copy.standing.key
        seen = circuit_breaker.admit(copy.standing, policy, self._worker, copy.now(now), _NO_PERMIT)
        state = seen.standing.state
        if state is BreakerState.HALF_OPEN:
            return await self._enter_as_probe(copy, policy, now)
        if not seen.admitted:
            self._refuse(copy, seen)
        if state is BreakerState.CLOSED and self._own.knows(key):
            own = self._own.admit(key, policy)
            if not own.admitted:
                self._refuse(copy, own)
            return Ticket(
                generation=seen.standing.generation,
                own_generation=own.standing.generation,
                own_permit=own.permit,
            )
        return Ticket(generation=seen.standing.generation, counts=state is not BreakerState.DISABLED)

    async def _enter_as_probe(self, copy: Copy, policy: BreakerPolicy, now: float) -> Ticket:
        key = copy.standing.key
        if now < copy.full_until:
            self._refuse(copy, Admission(standing=copy.standing, admitted=False))
        asking = self._link.start(self._ask_permit(key, policy))
        try:
            admission = await self._link.wait(asking)
        except asyncio.CancelledError:
            # Granted all the same, to nobody.
            asking.add_done_callback(partial(self._give_back, key, policy))
            raise
        if admission is None:
            asking.add_done_callback(partial(self._give_back, key, policy))
            self._lose()
            return self._enter_alone(key, policy)
        standing = admission.standing
        if not admission.admitted:
            if standing.state is BreakerState.HALF_OPEN:
                copy.full_until = self.monotonic() + self._times.full_seconds
            self._refuse(copy, admission)
        return Ticket(generation=standing.generation, permit=admission.permit)

    def _enter_alone(self, key: BreakerKey, policy: BreakerPolicy) -> Ticket:
        """Decide without the store."""
        admission = self._own.admit(key, policy)
        if not admission.admitted:
            self._refuse(None, admission)
        counts = admission.standing.state is not BreakerState.DISABLED
        return Ticket(generation=admission.standing.generation, permit=admission.permit, alone=True, counts=counts)

    def _refuse(self, copy: Copy | None, admission: Admission) -> NoReturn:
        if copy is not None:
            copy.rejections += 1
        standing, wait = admission.standing, admission.retry_after
        state = "cooling_down" if standing.state is BreakerState.CLOSED else standing.state.value
        raise CircuitOpen.of(str(standing.key), state, None if wait is None else wait.total_seconds())

    def refusal(self, key: BreakerKey) -> CircuitOpen | None:
        """Return the error that calls get for a while because it is open; None when the next one may get through."""
        copy, standings = self._copies.get(key), self._own.look(key)
        if copy is not None:
            standings = [circuit_breaker.at(copy.standing, copy.now(self.monotonic())), *standings]
        for standing in standings:
            if standing.state is BreakerState.FORCED_OPEN:
                return CircuitOpen.of(str(key), standing.state.value, None)
            if standing.open_left:
                return CircuitOpen.of(str(key), standing.state.value, standing.open_left.total_seconds())
        return None

    # -- out ---------------------------------------------------------------------------------------------------------

    async def leave(self, key: BreakerKey, policy: BreakerPolicy, ticket: Ticket, outcome: Outcome) -> None:
        """Take a ticket back; for `Passage`."""
        copy = self._copies.get(key)
        if copy is not None and outcome is SUCCEEDED and is_routine(copy, ticket, self._own):
            copy.count_success(self.monotonic())
            return
        if not ticket.counts:
            return
        result = BreakerResult(
            verdict=outcome.verdict,
            generation=ticket.generation,
            worker=self._worker,
            permit=ticket.permit,
            slow=outcome.slow,
            error=outcome.error,
            retry_after=outcome.retry_after,
        )
        if self._own.is_alone:
            self._own.record(key, policy, result if ticket.alone else as_own(result, ticket))
        elif copy is not None and copy.standing.state is BreakerState.CLOSED and is_current(copy, result):
            self._own.record(key, policy, as_own(result, ticket))
        if ticket.alone:
            return
        if copy is not None and result.verdict is BreakerVerdict.FAILURE and is_current(copy, result):
            copy.worry()
        if is_news(copy, policy, result):
            await self._link.wait(self._link.start(self._tell(key, policy, result)))
        elif copy is not None and result.verdict is BreakerVerdict.SUCCESS:
            copy.count_success(self.monotonic())

    # -- the store ---------------------------------------------------------------------------------------------------

    async def _renewed(self, key: BreakerKey, policy: BreakerPolicy) -> Copy | None:
        """Return a copy that is new, or None when the store does not answer; many callers look once."""
        if self._link.is_blocked:
            self._lose()
            return None
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = self._link.start(self._load(key, policy))
            loading.add_done_callback(lambda _: self._loading.pop(key, None))
        copy = await self._link.wait(loading)
        if copy is None:
            self._lose()
        return copy

    async def _load(self, key: BreakerKey, policy: BreakerPolicy) -> Copy | None:
        taken_at = self.monotonic()
        standings = await self._link.ask(lambda store: store.look([key]))
        if standings is None:
            return None
        self._find()
        return self._copies.put(standings[0], policy, taken_at)

    async def _ask_permit(self, key: BreakerKey, policy: BreakerPolicy) -> Admission | None:
        taken_at = self.monotonic()
        admission = await self._link.ask(lambda store: store.admit(key, policy, self._worker))
        if admission is not None:
            self._copies.put(admission.standing, policy, taken_at)
            self._tell_change(admission.transition)
        return admission

    def _give_back(self, key: BreakerKey, policy: BreakerPolicy, asking: asyncio.Task[Admission | None]) -> None:
        admission = None if asking.cancelled() or asking.exception() else asking.result()
        if admission is not None and admission.permit is not None:
            unused = BreakerResult(
                verdict=BreakerVerdict.IGNORED,
                generation=admission.standing.generation,
                worker=self._worker,
                permit=admission.permit,
            )
            self._link.start(self._tell(key, policy, unused))

    async def _tell(self, key: BreakerKey, policy: BreakerPolicy, result: BreakerResult) -> None:
        """Tell the store a result, and what was not told before."""
        copy, taken_at = self._copies.get(key), self.monotonic()
        if copy is not None:
            result = replace(result, before=copy.take_tally(taken_at) if is_current(copy, result) else Tally())
            if result.verdict is BreakerVerdict.SUCCESS:
                # Forty successes at once end a run of failures together; one of them tells.
                copy.last_success_at = taken_at
                copy.standing = replace(copy.standing, consecutive_failures=0)
        recorded = None
        if not self._link.is_blocked:
            recorded = await self._link.ask(lambda store: store.record(key, policy, result))
        if recorded is None:
            self._lose()
            return
        if self._copies.get(key) is not None:
            self._copies.put(recorded.standing, policy, taken_at)
        self._tell_change(recorded.transition)
        if recorded.threshold_reached:
            self._emit(BreakerThresholdReached(key, recorded.standing.consecutive_failures))

    async def _tell_cool_down(self, key: BreakerKey, duration: timedelta, reason: str) -> None:
        taken_at = self.monotonic()
        standing = await self._link.ask(lambda store: store.cool_down(key, duration, reason))
        if standing is None:
            self._lose()
            self._own.cool_down(key, duration, reason)
        else:
            self._copies.refresh([standing], taken_at)

    def _keep_fresh(self) -> None:
        if not self._is_ticking:
            self._is_ticking = True
            asyncio.get_running_loop().call_later(self._times.refresh_seconds, self._tick)

    def _tick(self) -> None:
        """Renew all copies in use in one round trip, as long as there are some."""
        self._is_ticking = False
        copies = self._copies.in_use(self.monotonic())
        if copies and not self._is_closed:
            self._is_ticking = True
            self._link.start(self._refresh(copies))

    async def _refresh(self, copies: Sequence[Copy]) -> None:
        try:
            for copy in copies:
                if copy.must_tell(self.monotonic()):
                    result = BreakerResult(
                        verdict=BreakerVerdict.IGNORED, generation=copy.standing.generation, worker=self._worker
                    )
                    await self._tell(copy.standing.key, copy.policy, result)
            keys, taken_at = [copy.standing.key for copy in copies], self.monotonic()
            standings = await self._link.ask(lambda store: store.look(keys))
            if standings is None:
                self._lose()
            else:
                self._copies.refresh(standings, taken_at)
        finally:
            self._is_ticking = False
            self._keep_fresh()

    def _lose(self) -> None:
        """Go on alone, from what the shared breakers last said."""
        if not self._own.is_alone:
            now = self.monotonic()
            self._own.go_alone([circuit_breaker.at(one.standing, one.now(now)) for one in self._copies.drop_all()])
            self._emit(BreakerStoreLost(self._link.name))

    def _find(self) -> None:
        """Believe the shared breakers again."""
        if self._own.is_alone:
            self._own.join()
            self._emit(BreakerStoreAdopted(self._link.name))

    def _tell_change(self, transition: Transition | None) -> None:
        if transition is not None:
            self._emit(BreakerChanged(transition))
