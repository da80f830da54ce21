"""What a verifier must do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cognition.ports import Verifier
from cognition.testing.contracts.embedder import ODD_TEXTS, OTHER, QUESTION, REORDERED


class VerifierContract:
    """Fixtures to give: `verifier`, ready to use."""

    def test_it_has_a_name(self, verifier: Verifier) -> None:
        """Messages and labels tell who said so."""
        assert verifier.name.partition(":")[2]

    def test_a_rephrasing_is_likelier_than_another_question(self, verifier: Verifier) -> None:
        """That is all it is for; both are probabilities."""
        same, other = verifier.verify([(QUESTION, REORDERED), (QUESTION, OTHER)])

        assert 0 <= other < same <= 1

    def test_no_pair_gives_no_probability(self, verifier: Verifier) -> None:
        """A look-up without a doubtful neighbour costs nothing."""
        assert [] == list(verifier.verify([]))

    def test_a_batch_keeps_the_order_and_the_verdicts(self, verifier: Verifier) -> None:
        """A verdict does not depend on the others of its batch."""
        pairs = [(QUESTION, f"{QUESTION} {'Quickly, please. ' * number}") for number in range(8)]

        together = list(verifier.verify(pairs))

        assert together == pytest.approx([verifier.verify([pair])[0] for pair in pairs], abs=1e-4)

    @pytest.mark.parametrize("kind", ODD_TEXTS)
    def test_an_odd_text_does_no_harm(self, verifier: Verifier, kind: str) -> None:
        """It has a verdict like any other, on either side."""
        verdicts = verifier.verify([(ODD_TEXTS[kind], QUESTION), (QUESTION, ODD_TEXTS[kind])])

        assert [True, True] == [0 <= verdict <= 1 for verdict in verdicts]

    def test_threads_may_share_it(self, verifier: Verifier) -> None:
        """What a thread gets does not depend on the others."""
        pairs = [(QUESTION, f"{REORDERED} {'And why? ' * number}") for number in range(8)]
        expected = list(verifier.verify(pairs))

        with ThreadPoolExecutor(4) as threads:
            found = [verdict for (verdict,) in threads.map(verifier.verify, [[pair] for pair in pairs])]

        assert expected == pytest.approx(found, abs=1e-4)

    def test_closing_twice_does_no_harm(self, verifier: Verifier) -> None:
        """An engine that failed to open closes what it has, and its owner may close it again."""
        verifier.verify([(QUESTION, REORDERED)])

        verifier.close()
        verifier.close()
