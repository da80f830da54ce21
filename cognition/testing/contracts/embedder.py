"""What an embedder must do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cognition.ports import Embedder

QUESTION = "How do I change the password of my account?"
REORDERED = "How do I change my account's password?"
OTHER = "Which mountain is the highest one in Wales?"

ODD_TEXTS = {
    "empty": "",
    "blank": " \n\t ",
    "NUL": "before\x00after",
    "half a character": "before\ud83dafter",
    "controls": "\x01\x02\x7f\u200b\ufeff",
    "emoji": "I like \U0001f355 and \U0001f469\u200d\U0001f469\u200d\U0001f467 very much",
    "right to left": "كيف أغير كلمة المرور؟ איך משנים סיסמה?",
    "Chinese": "如何更改我的密码",
    "combining": "Z\u0351\u036b\u0313\u036a" * 40,
    "one long word": "x" * 2_000,
    "a megabyte": "word " * 200_000,
}
"""What users, and those who attack them, really send."""


class EmbedderContract:
    """Fixtures to give: `embedder`, ready to use."""

    def test_its_identity_tells_the_length_of_a_vector(self, embedder: Embedder) -> None:
        """Columns are made and rows are filtered by it, so it may not change."""
        identity = embedder.identity

        assert (1, identity.dimensions) == embedder.embed([QUESTION]).shape
        assert identity == embedder.identity
        assert identity.name.partition(":")[2]
        assert identity.normalised

    def test_vectors_have_unit_length(self, embedder: Embedder) -> None:
        """The scalar product of two is their similarity."""
        vectors = embedder.embed([QUESTION, REORDERED, OTHER])

        assert np.float32 == vectors.dtype
        assert np.ones(3) == pytest.approx(np.linalg.norm(vectors, axis=1), abs=1e-4)

    def test_near_texts_are_near(self, embedder: Embedder) -> None:
        """The order of similarities is what the layer lives on."""
        asked, near, far = embedder.embed([QUESTION, REORDERED, OTHER])

        assert asked @ far < asked @ near

    def test_no_text_gives_no_vector(self, embedder: Embedder) -> None:
        """A batch in which every text is known already costs nothing."""
        assert (0, embedder.identity.dimensions) == embedder.embed([]).shape

    def test_a_batch_keeps_the_order_and_the_vectors(self, embedder: Embedder) -> None:
        """A vector does not depend on the others of its batch; equal texts have equal ones."""
        texts = [f"{QUESTION} {'Quickly, please. ' * (number % 5)}" for number in range(60)]

        together = embedder.embed(texts)

        alone = np.concatenate([embedder.embed([text]) for text in texts[:5]])
        assert np.ones(60) == pytest.approx(np.sum(together * alone[np.arange(60) % 5], axis=1), abs=1e-5)

    @pytest.mark.parametrize("kind", ODD_TEXTS)
    def test_an_odd_text_does_no_harm(self, embedder: Embedder, kind: str) -> None:
        """Whatever fits gets a vector like any other."""
        texts = [text for text in [ODD_TEXTS[kind]] if embedder.fits(text)]

        vectors = embedder.embed([*texts, QUESTION])

        assert np.isfinite(vectors).all()
        assert np.ones(len(texts) + 1) == pytest.approx(np.linalg.norm(vectors, axis=1), abs=1e-4)

    @pytest.mark.parametrize("kind", ["empty", "blank", "a megabyte"])
    def test_nothing_and_too_much_do_not_fit(self, embedder: Embedder, kind: str) -> None:
        """There is nothing to compare, or more than the model would see."""
        assert not embedder.fits(ODD_TEXTS[kind])

    def test_a_question_fits(self, embedder: Embedder) -> None:
        """What people ask is what it is for."""
        assert embedder.fits(QUESTION)

    def test_threads_may_share_it(self, embedder: Embedder) -> None:
        """What a thread gets does not depend on the others."""
        texts = [f"{OTHER} {'And why? ' * number}" for number in range(12)]
        expected = embedder.embed(texts)

        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(embedder.embed, [[text] for text in texts]))

        assert np.allclose(expected, np.concatenate(found), atol=1e-4)

    def test_closing_twice_does_no_harm(self, embedder: Embedder) -> None:
        """An engine that failed to open closes what it has, and its owner may close it again."""
        embedder.embed([QUESTION])

        embedder.close()
        embedder.close()
