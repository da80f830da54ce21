"""When a similar prompt's answer may be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from cognition.domain.error_bound import Limit
from cognition.domain.similarity import DEFAULT_FLOOR, DEFAULT_THRESHOLD, NEIGHBOURS
from cognition.errors import ConfigurationError

SemanticMode = Literal["off", "shadow", "on"]

_MODES: tuple[SemanticMode, ...] = ("off", "shadow", "on")


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticPolicy:
    """How one call uses the semantic layer (L3); without an embedder the layer is off whatever this says.

    Attributes:
        mode: `on` answers from near neighbours; `shadow` asks the provider and only compares, so that the error is
            known before anybody depends on it; `off` does neither.
        threshold: The lowest score at which a neighbour may answer, while there are too few labels to know better; see
            `cognition.domain.similarity` for its scale. No score lifts what the guard refuses.
        thresholds: Other thresholds, by namespace.
        floor: Neighbours of a lower cosine similarity are not considered.
        max_error: The share of wrong answers among semantic hits that is tolerated; None trusts the threshold.
        confidence: How sure to be that the error stays below `max_error`.
        candidates: How many neighbours are considered.
        check_share: Share of would-be hits and near misses that are checked against the provider's own answer in the
            background; a check of a hit costs one provider call.
        judge: Model that compares free texts in those checks, `provider:model`; without one the embedder does.
        grey_band: A verifier decides about scores less than this below the threshold, where one is configured.
    """

    mode: SemanticMode = "on"
    threshold: float = DEFAULT_THRESHOLD
    thresholds: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    floor: float = DEFAULT_FLOOR
    max_error: float | None = 0.02
    confidence: float = 0.95
    candidates: int = NEIGHBOURS
    check_share: float = 0.01
    judge: str | None = None
    grey_band: float = 0.1

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: The mode, a share or the number of candidates is out of range.
        """
        if self.mode not in _MODES:
            raise ConfigurationError(f"The semantic mode {self.mode!r} is unknown; write one of {', '.join(_MODES)}.")
        shares = {name: getattr(self, name) for name in ("threshold", "floor", "check_share", "grey_band")}
        shares |= {f"threshold of namespace {name!r}": value for name, value in self.thresholds.items()}
        if wrong := next((name for name, value in shares.items() if not 0 <= value <= 1), None):
            raise ConfigurationError(f"The {wrong} of a SemanticPolicy must be between 0 and 1.")
        if not 0 < self.confidence < 1 or (self.max_error is not None and not 0 < self.max_error < 1):
            raise ConfigurationError("The max_error and confidence of a SemanticPolicy must be between 0 and 1.")
        if not 1 <= self.candidates <= 20:  # noqa: PLR2004  more would be read only to be refused
            raise ConfigurationError("The candidates of a SemanticPolicy must be from 1 to 20.")

    def limit_of(self, namespace: str) -> Limit:
        """Return how near a neighbour must be in a namespace, and how sure one must be of it."""
        default = self.thresholds.get(namespace, self.threshold)
        lowest = max(0.0, default - self.grey_band)
        return Limit(default=default, lowest=lowest, max_error=self.max_error, confidence=self.confidence)


def semantic_policy_of(given: SemanticPolicy | SemanticMode, default: SemanticPolicy) -> SemanticPolicy:
    """Return the policy of one call: a whole policy, or the default one in another mode."""
    if isinstance(given, SemanticPolicy):
        return given
    return default if given == default.mode else replace(default, mode=given)
