"""Says what would happen to a prompt and why, without asking, counting or changing anything."""

from __future__ import annotations

from cognition.domain.completion import Call
from cognition.domain.entry import Address, Layer
from cognition.domain.error_bound import Bar
from cognition.domain.explanation import Explanation, HeldIn, NearbyQuestion
from cognition.domain.fingerprint import address_of
from cognition.domain.semantic import Neighbour, asked_text
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.domain.similarity import Verdict
from cognition.ports import Clock
from cognition.services.layered_cache import LayeredCache
from cognition.services.semantic_layer import SemanticLayer, Sighting

OFF = "The semantic layer is off: no embedder is set; set COGNITION_EMBEDDER=local:all-minilm-l6-v2 to switch it on."
"""What is said wherever somebody may wonder why L3 never answers."""


class Explaining:
    """Explains look-ups."""

    def __init__(self, layers: LayeredCache, semantic: SemanticLayer | None, clock: Clock) -> None:
        """Explain over some layers.

        Args:
            layers: L1 and L2.
            semantic: L3, or None when no embedder is set.
            clock: Returns the present time.
        """
        self._layers = layers
        self._semantic = semantic
        self._clock = clock

    def explain(self, call: Call, policy: SemanticPolicy) -> Explanation:
        """Return what would happen to a call now, and why."""
        request = call.request
        address = address_of(request)
        layers = self._exact(address)
        sighting = self._sighting(call, address, policy)
        # Copies of similar questions' answers are only for those who want them.
        wanted = policy.mode == "on"
        held = next((layer.layer for layer in layers if layer.held and (wanted or layer.origin is None)), None)
        return Explanation(
            model=request.model,
            tenant=request.tenant,
            namespace=request.namespace,
            exact_key=address.key.hex(),
            scope_key=address.scope_key.hex(),
            answered_by=held or (sighting.hit.layer if sighting and sighting.hit else Layer.PROVIDER),
            layers=layers,
            semantic=self._sentence(call, address, sighting, policy),
            nearby=self._nearby(sighting, address.key.hex()) if sighting else (),
        )

    def _exact(self, address: Address) -> list[HeldIn]:
        now = self._clock()
        return [
            HeldIn(layer=layer, held=False)
            if entry is None
            else HeldIn(layer=layer, held=True, time_left=entry.expires_at - now, origin=entry.origin)
            for layer, entry in self._layers.held(address).items()
        ]

    def _sighting(self, call: Call, address: Address, policy: SemanticPolicy) -> Sighting | None:
        if self._semantic is None or policy.mode == "off":
            return None
        return self._semantic.look_up([(call, address)], policy, quiet=True)[0]

    def _sentence(self, call: Call, address: Address, sighting: Sighting | None, policy: SemanticPolicy) -> str:
        if policy.mode == "off":
            return "The policy switches the semantic layer off."
        if self._semantic is None or sighting is None:
            return OFF
        if sighting.question is None:
            if asked_text(call.request) is None:
                return "The last message has no text, so only the same request is answered from the cache."
            return "The text is longer than the embedder's window, or the embedder or its store does not answer."
        held = len(sighting.neighbours)
        found = f"The nearest {held} questions of this scope were compared" if held else "This scope holds no question"
        mode = "; shadow mode only compares" if policy.mode == "shadow" else ""
        return f"{found}; {_bar(self._semantic.bar(address, policy))}{mode}."

    def _nearby(self, sighting: Sighting, key: str) -> list[NearbyQuestion]:
        verdicts = sighting.decision.verdicts if sighting.decision else ()
        return [
            self._seen(neighbour, verdict, own=neighbour.entry.key == key)
            for neighbour, verdict in zip(sighting.neighbours, verdicts, strict=True)
        ]

    def _seen(self, neighbour: Neighbour, verdict: Verdict, *, own: bool) -> NearbyQuestion:
        refusal = None if own else verdict.refusal
        reasons = [difference.reason for difference in verdict.differences] or [refusal or ""]
        return NearbyQuestion(
            text=neighbour.text,
            similarity=neighbour.similarity,
            score=verdict.score,
            answers=refusal is None,
            reasons=[reason for reason in reasons if reason],
            time_left=neighbour.entry.expires_at - self._clock(),
        )


def _bar(bar: Bar) -> str:
    known = f"{bar.wrong} of {bar.labels} checked answers were wrong" if bar.labels else "nothing was checked yet"
    meaning = {
        "trusted": "as the policy says",
        "default": "the default",
        "proven": f"proven: less than {bar.error_bound:.1%} of hits are wrong",
        "raised": "raised, because checked answers speak against the default",
        "closed": "",
    }[bar.basis]
    if bar.basis == "closed":
        return f"checked answers speak against every threshold, so none may answer ({known})"
    return f"a score of {bar.threshold:.2f} is needed, {meaning} ({known})"
