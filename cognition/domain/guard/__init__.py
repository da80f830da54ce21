"""Whether the answer to one text may serve another: rules of language, without a model.

`analyse` each text once, `compare` pairs of them; `score_of` weighs what the rules leave open.
"""

from cognition.domain.guard.comparison import Comparison, compare
from cognition.domain.guard.features import Features, analyse
from cognition.domain.guard.pair import Difference
from cognition.domain.guard.score import Evidence, evidence_of, score_of

__all__ = ["Comparison", "Difference", "Evidence", "Features", "analyse", "compare", "evidence_of", "score_of"]
