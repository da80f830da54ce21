"""The local embedder really embeds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cognition.adapters.embedders import LocalEmbedder

QUESTION = "How do I change my password?"
LONG = "It was a dark and stormy night; the rain fell in torrents. " * 15
"""Nearly as long as the window."""


@pytest.fixture(scope="module")
def embedder() -> Iterator[LocalEmbedder]:
    """The local embedder, loaded on first use."""
    opened = LocalEmbedder("all-minilm-l6-v2")
    yield opened
    opened.close()


def test_a_rephrasing_is_nearer_than_another_question(embedder: LocalEmbedder) -> None:
    """Similarity follows the meaning, not the words."""
    asked, rephrased, other = embedder.embed(
        [QUESTION, "What are the steps to reset my password?", "How do I change a tyre?"]
    )

    assert 0.5 > asked @ other
    assert 0.75 < asked @ rephrased


def test_the_batch_changes_no_vector(embedder: LocalEmbedder) -> None:
    """A text is as near to its neighbours whether it was embedded alone or among others, longer and shorter."""
    texts = [QUESTION, LONG, "Why?", *(f"What is {number} plus {number}?" for number in range(40))]

    together = embedder.embed(texts)

    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert np.ones(len(texts)) == pytest.approx(np.sum(together * alone, axis=1), abs=1e-5)


def test_the_window_counts_the_frame(embedder: LocalEmbedder) -> None:
    """254 words and the two tokens that frame every text are the whole window; one more word does not fit."""
    words = ["word"] * 254

    assert embedder.fits(" ".join(words))
    assert not embedder.fits(" ".join([*words, "word"]))
    with pytest.raises(ValueError, match="257 tokens"):
        embedder.embed([" ".join([*words, "word"])])


@pytest.mark.parametrize("text", ["I like 🍕", "0123456789abcdef" * 7, "word " * 200_000])
def test_what_the_model_would_not_see_does_not_fit(embedder: LocalEmbedder, text: str) -> None:
    """Characters outside the vocabulary and words beyond its length are one token, whatever they say."""
    assert not embedder.fits(text)


def test_threads_share_one_model(embedder: LocalEmbedder) -> None:
    """What a thread gets does not depend on the others."""
    texts = [f"What is the capital of country number {number}?" for number in range(24)]
    expected = embedder.embed(texts)

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(embedder.embed, [[text] for text in texts]))

    assert np.allclose(expected, np.concatenate(found), atol=1e-5)


def test_it_loads_again_after_closing(embedder: LocalEmbedder) -> None:
    """Closing frees the memory and ends nothing for good."""
    before = embedder.embed([QUESTION])
    embedder.close()

    assert np.array_equal(before, embedder.embed([QUESTION]))


def test_a_forked_child_embeds() -> None:
    """The threads of the parent's session do not exist there, so the child loads its own."""
    program = (
        "import os\n"
        "from cognition.adapters.embedders import LocalEmbedder\n"
        "embedder = LocalEmbedder('all-minilm-l6-v2')\n"
        f"before = embedder.embed([{LONG!r}])\n"
        "if os.fork() == 0:\n"
        f"    after = embedder.embed([{LONG!r}])\n"
        "    print('same' if (before == after).all() else 'another', flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ("same\n", "") == (done.stdout, done.stderr)


def test_it_uses_no_network() -> None:
    """The model comes from installed files alone: where no socket can be made, it works as well."""
    program = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('a socket was asked for')\n"
        "socket.socket.connect = refuse\n"
        "from cognition.adapters.embedders import LocalEmbedder\n"
        "print(LocalEmbedder('all-minilm-l6-v2').embed(['Hello']).shape)\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": os.devnull}

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    assert "(1, 384)\n" == done.stdout
