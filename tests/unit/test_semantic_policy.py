"""When a similar prompt's answer may be given: what can be set, and how."""

from __future__ import annotations

from typing import Any

import pytest

from cognition import ConfigurationError, SemanticPolicy, Settings
from cognition.domain.error_bound import Limit
from cognition.domain.semantic_policy import semantic_policy_of


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"mode": "maybe"}, "mode 'maybe' is unknown; write one of off, shadow, on"),
        ({"threshold": 1.01}, "The threshold of a SemanticPolicy must be between 0 and 1"),
        ({"threshold": float("nan")}, "The threshold of"),
        ({"thresholds": {"law": -0.1}}, "The threshold of namespace 'law' of"),
        ({"floor": -0.5}, "The floor of"),
        ({"check_share": 2}, "The check_share of"),
        ({"grey_band": -1}, "The grey_band of"),
        ({"max_error": 0.0}, "max_error and confidence"),
        ({"max_error": 1.0}, "max_error and confidence"),
        ({"confidence": 0.0}, "max_error and confidence"),
        ({"confidence": 1.0}, "max_error and confidence"),
        ({"candidates": 0}, "candidates of a SemanticPolicy must be from 1 to 20"),
        ({"candidates": 21}, "candidates of a SemanticPolicy must be from 1 to 20"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], sentence: str) -> None:
    """One sentence that names the field."""
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        SemanticPolicy(**values)
    assert str(caught.value).endswith(".")


def test_the_ends_of_a_range_are_allowed() -> None:
    """A threshold of 0 trusts the guard alone, one of 1 nothing."""
    for share in (0, 1):
        policy = SemanticPolicy(threshold=share, floor=share, check_share=share, grey_band=share)
        assert share == policy.limit_of("default").default


def test_a_namespace_may_have_its_own_limit() -> None:
    """Its threshold takes the place of the default, and the grey band lies below it."""
    policy = SemanticPolicy(threshold=0.9, thresholds={"law": 0.99, "fun": 0.05}, grey_band=0.1)
    assert Limit(default=0.9, lowest=0.8, max_error=0.02, confidence=0.95) == policy.limit_of("other")
    assert (0.99, pytest.approx(0.89)) == (policy.limit_of("law").default, policy.limit_of("law").lowest)
    assert 0.0 == policy.limit_of("fun").lowest


def test_a_mode_stands_for_the_default_policy_in_that_mode() -> None:
    """A whole policy stands for itself."""
    default, own = SemanticPolicy(threshold=0.7), SemanticPolicy(mode="shadow")
    assert SemanticPolicy(mode="off", threshold=0.7) == semantic_policy_of("off", default)
    assert default is semantic_policy_of("on", default)
    assert own is semantic_policy_of(own, default)


def test_everything_can_be_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested fields use two underscores, and so do the namespaces of thresholds."""
    variables = {
        "EMBEDDER": "local:all-minilm-l6-v2",
        "SEMANTIC__MODE": "shadow",
        "SEMANTIC__THRESHOLD": "0.9",
        "SEMANTIC__THRESHOLDS__LAW": "0.99",
        "SEMANTIC__MAX_ERROR": "0.01",
        "SEMANTIC__CHECK_SHARE": "0.05",
        "SEMANTIC__JUDGE": "anthropic:claude-haiku-4-5",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"COGNITION_{name}", value)
    settings = Settings()
    assert "local:all-minilm-l6-v2" == settings.embedder
    expected = SemanticPolicy(
        mode="shadow",
        threshold=0.9,
        thresholds={"law": 0.99},
        max_error=0.01,
        check_share=0.05,
        judge="anthropic:claude-haiku-4-5",
    )
    assert expected == settings.semantic
    assert hash(settings) == hash(Settings()), "engines are found by their settings"


def test_namespaces_of_any_spelling_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of variables are read in lower case, so the whole policy is JSON then; a nearer variable adds to it."""
    monkeypatch.setenv("COGNITION_SEMANTIC", '{"thresholds": {"EU Law": 0.99}}')
    monkeypatch.setenv("COGNITION_SEMANTIC__MODE", "shadow")
    assert SemanticPolicy(mode="shadow", thresholds={"EU Law": 0.99}) == Settings().semantic


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("COGNITION_SEMANTIC__MODE", "maybe", "variable COGNITION_SEMANTIC__MODE"),
        ("COGNITION_SEMANTIC__THRESHOLD", "high", "variable COGNITION_SEMANTIC__THRESHOLD"),
        ("COGNITION_SEMANTIC__THRESHOLD", "1.5", "The threshold of a SemanticPolicy must be between 0 and 1"),
        ("COGNITION_SEMANTIC__CANDIDATES", "0", "from 1 to 20"),
        ("COGNITION_SEMANTIC", "on", "variable COGNITION_SEMANTIC"),
    ],
)
def test_an_unusable_variable_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    """The error names the variable, or the rule that its value breaks."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=sentence):
        Settings()
