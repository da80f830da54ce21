"""L3: answers to questions that mean the same.

Asked only after the exact layers missed. What it finds is a candidate, not a hit: the guard, the score and the bar of
the namespace decide, and everything it refuses is said with its reason.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from cognition.domain.cache_policy import CachePolicy
from cognition.domain.completion import Call
from cognition.domain.entry import Address, CacheEntry, Hit, Layer
from cognition.domain.error_bound import Bar
from cognition.domain.semantic import Neighbour, Pair, Question, asked_text
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.domain.similarity import Candidate, Decision, Limits, decide, doubtful, reconsider
from cognition.events import Emit, LookedUp, PairMet, Stored
from cognition.ports import Clock, Nearby, SemanticStore, Verifier
from cognition.resilience.store_breaker import Guarded
from cognition.services.embeddings import Embeddings
from cognition.services.semantic_trust import SemanticTrust


@dataclass(frozen=True, slots=True)
class Sighting:
    """What L3 holds near one call's question.

    Attributes:
        question: What was looked up, or None when the layer could not look: no text, too long, or no vector.
        decision: What was decided of each neighbour.
        neighbours: The neighbours, in the order of the decision's verdicts.
        hit: The answer that may be given, as an entry of the asked question, or None.
        pair: The asked question and the neighbour that answers it or nearly does, or None.
        nearest: That neighbour's answer.
        check: Whether the pair was drawn to be compared with the provider's own answer.
    """

    question: Question | None = None
    decision: Decision | None = None
    neighbours: Sequence[Neighbour] = ()
    hit: Hit | None = None
    pair: Pair | None = None
    nearest: CacheEntry | None = None
    check: bool = False

    @property
    def refused(self) -> bool:
        """Whether something was near, and may not answer."""
        verdicts = self.decision.verdicts if self.decision else ()
        # What lies below the floor was not compared at all.
        return self.hit is None and any(verdict.differences or verdict.score for verdict in verdicts)


_UNSEEN = Sighting()


@dataclass(frozen=True, slots=True)
class _Decided:
    """A question, what is near it, and what was decided about that."""

    question: Question
    neighbours: Sequence[Neighbour]
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticParts:
    """What the layer works with.

    Attributes:
        embeddings: Vectors of texts.
        store: Where answers are kept by their meaning.
        trust: Knows how near a neighbour must be.
        verifier: Decides about neighbours that only lack score, or None.
        clock: Returns the present time.
        emit: Told about look-ups, stores and pairs.
    """

    embeddings: Embeddings
    store: Guarded[SemanticStore]
    trust: SemanticTrust
    verifier: Guarded[Verifier] | None = None
    clock: Clock
    emit: Emit


class SemanticLayer:
    """Finds neighbours, decides about them, keeps new answers by their meaning."""

    def __init__(self, parts: SemanticParts) -> None:
        """Put the parts together."""
        self._parts = parts

    def look_up(
        self, asked: Sequence[tuple[Call, Address]], policy: SemanticPolicy, *, quiet: bool = False
    ) -> list[Sighting]:
        """Return what is near each call, with one embedding batch and one round trip for all.

        Args:
            asked: Calls with the addresses of their exact answers; all of one tenant, namespace and model.
            policy: How near is near enough.
            quiet: Neither count nor remember, for explanations.
        """
        if policy.mode == "off":
            return [_UNSEEN] * len(asked)
        questions = self._questions(asked)
        near = self._nearest([question for question in questions if question], policy.candidates)
        if not near:
            return [_UNSEEN] * len(asked)
        limits, lowest = self._limits(asked[0][1], policy)
        decided = self._verified(self._decided(near, limits), limits, lowest)
        found = iter(decided)
        sightings = [
            _UNSEEN if question is None else self._sight(call, next(found), lowest, policy)
            for (call, _), question in zip(asked, questions, strict=True)
        ]
        if not quiet:
            self._tell(asked[0][0], sightings)
        return sightings

    def bar(self, address: Address, policy: SemanticPolicy) -> Bar:
        """Return what a neighbour's score must reach in a namespace, and what is known about those that do."""
        fingerprint = self._parts.embeddings.fingerprint
        return self._parts.trust.bar(address.tenant, address.namespace, fingerprint, policy)

    def question_of(self, call: Call, address: Address) -> Question | None:
        """Return what is kept of a call's question, or None when the layer cannot keep it."""
        return self._questions([(call, address)])[0]

    def keep(self, question: Question, entry: CacheEntry, policy: CachePolicy) -> None:
        """Keep a new answer, and the vector of its question."""
        # Jitter needs no secrecy, only spread.
        ends = self._parts.clock() + policy.life(Layer.L3, random.random())  # noqa: S311
        item = (question, replace(entry, expires_at=ends))
        put = partial(self._parts.store.store.put, self._parts.embeddings.fingerprint, [item])
        if self._parts.store.call(put, 0):
            self._parts.emit(Stored(question.address, entry.requested_model, Layer.L3))
            self._parts.embeddings.keep(question.address.tenant, {question.text: question.vector})

    def _questions(self, asked: Sequence[tuple[Call, Address]]) -> list[Question | None]:
        texts = [asked_text(call.request) for call, _ in asked]
        vectors = self._parts.embeddings.of(asked[0][1].tenant, [text for text in texts if text])
        return [
            Question(address=address, text=text, vector=vectors[text]) if text in vectors else None
            for (_, address), text in zip(asked, texts, strict=True)
        ]

    def _nearest(self, questions: Sequence[Question], limit: int) -> list[tuple[Question, Nearby]] | None:
        if not questions:
            return []
        fingerprint = self._parts.embeddings.fingerprint
        nearby = self._parts.store.call(partial(self._parts.store.store.nearest, fingerprint, questions, limit), None)
        return None if nearby is None else list(zip(questions, nearby, strict=True))

    def _limits(self, address: Address, policy: SemanticPolicy) -> tuple[Limits, float]:
        """Return what a neighbour must reach in a namespace, and the lowest score that is worth a second look."""
        limits = Limits(threshold=self.bar(address, policy).threshold, floor=policy.floor)
        return limits, policy.limit_of(address.namespace).lowest

    def _decided(self, near: Sequence[tuple[Question, Nearby]], limits: Limits) -> list[_Decided]:
        return [
            _Decided(question, nearby.neighbours, decide(question.text, _candidates(nearby), limits))
            for question, nearby in near
        ]

    def _verified(self, decided: Sequence[_Decided], limits: Limits, lowest: float) -> Sequence[_Decided]:
        """Let the verifier, where there is one, decide about what only lacks score; all of a batch at once."""
        verifier = self._parts.verifier
        doubts = {number: doubtful(one.decision, lowest) for number, one in enumerate(decided)} if verifier else {}
        pairs = [
            (verdict.candidate.text, decided[number].question.text) for number, verdict in doubts.items() if verdict
        ]
        if verifier is None or not pairs:
            return decided
        scores = iter(verifier.call(partial(verifier.store.verify, pairs), [0.0] * len(pairs)))
        return [
            replace(one, decision=reconsider(one.decision, verdict, next(scores), limits))
            if (verdict := doubts[number])
            else one
            for number, one in enumerate(decided)
        ]

    def _sight(self, call: Call, decided: _Decided, lowest: float, policy: SemanticPolicy) -> Sighting:
        question, neighbours, decision = decided.question, decided.neighbours, decided.decision
        sighting = Sighting(question=question, decision=decision, neighbours=neighbours)
        own = next((one.entry for one in neighbours if one.entry.key == question.address.key.hex()), None)
        if own is not None:
            # The very question, which L2 has forgotten sooner: nothing to compare, and nothing to learn from.
            return replace(sighting, hit=Hit(Layer.L3, own) if policy.mode == "on" else None)
        best = decision.chosen or doubtful(decision, lowest)
        if best is None:
            return sighting
        neighbour = neighbours[decision.verdicts.index(best)]
        serves = best is decision.chosen and policy.mode == "on"
        # In shadow mode the provider is asked anyway, so every comparison is free.
        check = policy.mode == "shadow" or random.random() < policy.check_share  # noqa: S311
        return replace(
            sighting,
            hit=Hit(Layer.L3, _copy(question.address, neighbour)) if serves else None,
            pair=self._pair(call, question, neighbour, best.score, served=serves),
            nearest=neighbour.entry,
            check=check,
        )

    def _pair(self, call: Call, question: Question, neighbour: Neighbour, score: float, *, served: bool) -> Pair:
        return Pair(
            tenant=question.address.tenant,
            namespace=question.address.namespace,
            fingerprint=self._parts.embeddings.fingerprint,
            request_id=call.request_id,
            asked_key=question.address.key,
            cached_key=bytes.fromhex(neighbour.entry.key),
            asked_text=question.text,
            cached_text=neighbour.text,
            similarity=neighbour.similarity,
            score=score,
            served=served,
            at=self._parts.clock(),
        )

    def _tell(self, call: Call, sightings: Sequence[Sighting]) -> None:
        seen = [sighting for sighting in sightings if sighting.question]
        hits = sum(sighting.hit is not None for sighting in seen)
        refusals = sum(sighting.refused for sighting in seen)
        request = call.request
        counts = {"hits": hits, "misses": len(seen) - hits, "refusals": refusals}
        self._parts.emit(LookedUp(request.tenant, request.namespace, request.model, Layer.L3, **counts))
        for sighting in seen:
            if sighting.pair is not None and (sighting.hit is not None or sighting.check):
                self._parts.emit(PairMet(sighting.pair))


def _candidates(nearby: Nearby) -> list[Candidate]:
    return [Candidate(one.text, one.similarity) for one in nearby.neighbours]


def _copy(address: Address, neighbour: Neighbour) -> CacheEntry:
    """Return a neighbour's answer as one to the asked question; it lives no longer than the original."""
    entry = neighbour.entry
    return replace(
        entry, key=address.key.hex(), origin=entry.origin or entry.key, similarity=round(neighbour.similarity, 6)
    )
