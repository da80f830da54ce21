"""Cross-encoders of the user's are read by the labels of their heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cognition.adapters.verifiers import CrossEncoder, open_verifier
from cognition.errors import CacheUnavailable, ConfigurationError
from tests.tiny_cross_encoder import write_cross_encoder

Write = Callable[[Sequence[str], Sequence[float]], CrossEncoder]

BROAD = "red green blue white"
NARROW = "red green"


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """How to make a verifier with a head of one's own; see `write_cross_encoder`."""
    opened: list[CrossEncoder] = []

    def make(labels: Sequence[str], scales: Sequence[float]) -> CrossEncoder:
        write_cross_encoder(tmp_path / "tiny", labels, scales)
        opened.append(CrossEncoder(tmp_path / "tiny"))
        return opened[-1]

    yield make
    for verifier in opened:
        verifier.close()


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_a_single_label_is_a_logit(write: Write) -> None:
    """All tokens of the asked question are in the cached one, so the logit is 4."""
    verifier = write(["LABEL_0"], [4.0])

    assert [_sigmoid(4)] == pytest.approx(verifier.verify([(BROAD, NARROW)]))


def test_the_asked_question_is_the_second_text(write: Write) -> None:
    """Three of its five tokens, the closing one included, are in the cached question."""
    verifier = write(["LABEL_0"], [4.0])

    assert [_sigmoid(4 * (2 * 3 / 5 - 1))] == pytest.approx(verifier.verify([(NARROW, BROAD)]))


@pytest.mark.parametrize(
    ("labels", "scales"),
    [
        (["not_duplicate", "duplicate"], [0.0, 4.0]),
        (["Paraphrase", "Different"], [4.0, 0.0]),
        (["not_equivalent", "equivalent"], [0.0, 4.0]),
    ],
)
def test_a_label_of_sameness_is_taken_as_it_is(labels: list[str], scales: list[float], write: Write) -> None:
    """Wherever it stands; its negation is another label."""
    assert [_sigmoid(4)] == pytest.approx(write(labels, scales).verify([(BROAD, NARROW)]))


@pytest.mark.parametrize(
    ("labels", "scales"),
    [
        (["contradiction", "entailment", "neutral"], [-9.0, 4.0, 0.0]),
        (["entailment", "not_entailment"], [4.0, 0.0]),
    ],
)
def test_entailment_must_hold_both_ways(labels: list[str], scales: list[float], write: Write) -> None:
    """A narrower question is entailed by the broader one, whose answer may say too much or another thing."""
    verifier = write(labels, scales)

    there, back = verifier.verify([(BROAD, NARROW), (NARROW, BROAD)])

    assert back == there < 0.9 < verifier.verify([(NARROW, NARROW)])[0]


def test_a_pair_beyond_the_window_is_not_judged_by_its_head(write: Write) -> None:
    """510 tokens with the frame are seen whole; one more makes the pair as unlikely as can be."""
    verifier = write(["LABEL_0"], [4.0])
    words = "red " * 253

    assert [_sigmoid(4), 0.0] == pytest.approx(verifier.verify([(words + "red", words), (words + "red red", words)]))


def test_a_head_without_the_asked_label_is_refused(write: Write) -> None:
    """The sentence names the labels and where to name one."""
    with pytest.raises(ConfigurationError, match=r"\(label_0, label_1\); name one 'duplicate' in its config"):
        write(["LABEL_0", "LABEL_1"], [0.0, 1.0])


def test_a_config_without_labels_means_two_without_names(write: Write, tmp_path: Path) -> None:
    """Transformers writes no labels where they are its default ones."""
    write(["LABEL_0"], [4.0])
    (tmp_path / "tiny" / "config.json").write_text("{}", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"\(label_0, label_1\)"):
        CrossEncoder(tmp_path / "tiny")


def test_a_head_of_another_size_is_refused(write: Write, tmp_path: Path) -> None:
    """Reading one output of two as a probability would be wrong without a sign."""
    write(["no", "duplicate"], [0.0, 4.0])
    (tmp_path / "tiny" / "config.json").write_text('{"id2label": {"0": "LABEL_0"}}', encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"shape \(2,\) where its config.json names 1 labels"):
        CrossEncoder(tmp_path / "tiny").verify([(BROAD, NARROW)])


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_missing_file_is_named(name: str, write: Write, tmp_path: Path) -> None:
    """The sentence says which one."""
    write(["LABEL_0"], [4.0])
    (tmp_path / "tiny" / name).unlink()

    with pytest.raises(ConfigurationError, match=f"lacks {name}"):
        open_verifier(f"onnx:{tmp_path / 'tiny'}")


@pytest.mark.parametrize(("name", "sentence"), [("config.json", "is no JSON"), ("model.onnx", "no model that can be")])
def test_a_damaged_file_is_named(name: str, sentence: str, write: Write, tmp_path: Path) -> None:
    """At once where it is read at once, else on first use."""
    write(["LABEL_0"], [4.0])
    (tmp_path / "tiny" / name).write_bytes(b"{half")

    with pytest.raises(ConfigurationError, match=sentence):
        CrossEncoder(tmp_path / "tiny").verify([(BROAD, NARROW)])


def test_inputs_that_nobody_has_are_named(write: Write, tmp_path: Path) -> None:
    """Such as the positions that some decoders want."""
    write(["LABEL_0"], [4.0])
    model = tmp_path / "tiny" / "model.onnx"
    model.write_bytes(model.read_bytes().replace(b"token_type_ids", b"position_idsxx"))

    with pytest.raises(ConfigurationError, match="position_idsxx"):
        CrossEncoder(tmp_path / "tiny").verify([(BROAD, NARROW)])


def test_a_model_that_fails_is_an_unavailable_cache(write: Write, tmp_path: Path) -> None:
    """It means a miss; here the model was exported for texts of 160 tokens and no others."""
    write(["LABEL_0"], [4.0])
    model = tmp_path / "tiny" / "model.onnx"
    any_length, one_length = b"\x12\x08sequence", b"\x08\xa0\x01\x1a\x05fixed"
    model.write_bytes(model.read_bytes().replace(any_length, one_length))

    with pytest.raises(CacheUnavailable, match="failed on this machine"):
        CrossEncoder(tmp_path / "tiny").verify([(BROAD, NARROW)])


def test_no_name_means_no_verifier() -> None:
    """Then the guard decides alone."""
    assert None is open_verifier(None)


@pytest.mark.parametrize("name", ["", "onnx:", "local:oracle", "/a/folder"])
def test_a_wrong_name_is_answered_with_a_right_one(name: str) -> None:
    """The sentence says what to write instead."""
    with pytest.raises(ConfigurationError, match="onnx:"):
        open_verifier(name)
