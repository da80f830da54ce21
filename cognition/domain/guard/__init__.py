"""Whether the answer to one text may serve another: rules of language, without a model."""

from cognition.domain.guard.comparison import Comparison, compare
from cognition.domain.guard.features import Features, analyse
from cognition.domain.guard.pair import Difference
from cognition.domain.guard.score import score_of

__all__ = ["Comparison", "Difference", "Features", "analyse", "compare", "score_of"]
