"""From the environment to frozen settings."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from cognition import BreakerPolicy, CachePolicy, ConfigurationError, Rate, ResiliencePolicy, Settings
from cognition.settings import address_of_provider, unknown_variables


def test_without_variables_the_defaults_hold() -> None:
    """Nothing set means the embedded servers and the policies' own defaults."""
    settings = Settings()

    assert (None, None, "default") == (settings.database_url, settings.redis_url, settings.tenant)
    assert (CachePolicy(), ResiliencePolicy()) == (settings.cache, settings.resilience)


@pytest.mark.parametrize("text", ["600", "600.0", "PT10M", "00:10:00"])
def test_times_are_seconds_or_iso(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A bare number means seconds."""
    monkeypatch.setenv("COGNITION_CACHE__L1_TTL", text)
    monkeypatch.setenv("COGNITION_RESILIENCE__ATTEMPT_TIMEOUT", text)

    assert timedelta(minutes=10) == Settings().cache.l1_ttl == Settings().resilience.attempt_timeout


def test_the_numbers_of_the_breaker_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two levels down; the others keep their defaults."""
    monkeypatch.setenv("COGNITION_RESILIENCE__BREAKER__FAILURE_THRESHOLD", "3")
    monkeypatch.setenv("COGNITION_RESILIENCE__BREAKER__OPEN_FOR", "30")
    monkeypatch.setenv("COGNITION_RESILIENCE__BREAKER__FAILURE_RATE", "0.5")

    expected = BreakerPolicy(failure_threshold=3, open_for=timedelta(seconds=30), failure_rate=0.5)
    assert ResiliencePolicy(breaker=expected) == Settings().resilience


def test_a_permit_outlasts_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long attempts may take; else a fourth probe would begin beside three that still run."""
    assert timedelta(seconds=75) == Settings().resilience.breaker.permit_lease
    monkeypatch.setenv("COGNITION_RESILIENCE__ATTEMPT_TIMEOUT", "600")
    assert timedelta(seconds=615) == Settings().resilience.breaker.permit_lease


def test_prices_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices stay decimals from the environment on."""
    monkeypatch.setenv("COGNITION_PRICES", '{"local:m": {"input_per_million": "0.1", "output_per_million": "0.2"}}')

    assert {"local:m": Rate(input_per_million=Decimal("0.1"), output_per_million=Decimal("0.2"))} == Settings().prices


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("COGNITION_CACHE__MODE", "bad", "setting cache.mode cannot be used"),
        ("COGNITION_CACHE__L1_TTL", "soon", "variable COGNITION_CACHE__L1_TTL"),
        ("COGNITION_CACHE__L1_TTL", "-1", "must be longer than zero"),
        ("COGNITION_PRICES", "cheap", "variable COGNITION_PRICES"),
        ("COGNITION_PRICES", '{"m": {"input_per_million": "-1", "output_per_million": "0"}}', "zero or more"),
        ("COGNITION_RESILIENCE__ATTEMPTS", "0", "at least 1"),
        ("COGNITION_RESILIENCE__BREAKER__OPEN_FOR", "soon", "variable COGNITION_RESILIENCE__BREAKER__OPEN_FOR"),
        ("COGNITION_RESILIENCE__BREAKER__OPEN_FOR", "0", "times of a BreakerPolicy"),
    ],
)
def test_an_unusable_value_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    """The error says which variable to correct; it does not repeat the value, which may be a secret."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=sentence):
        Settings()


def test_an_unknown_setting_is_refused() -> None:
    """A misspelt argument is not ignored."""
    with pytest.raises(ConfigurationError, match="setting databse_url"):
        Settings(databse_url="postgresql://h/d")  # pyright: ignore[reportCallIssue]


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are not validated by their names, so the doctor points at those that nothing reads."""
    monkeypatch.setenv("COGNITION_TENNANT", "acme")
    monkeypatch.setenv("COGNITION_CACHE__L1_TTL", "1")

    assert ["COGNITION_TENNANT"] == unknown_variables()


def test_settings_differ_by_their_secrets() -> None:
    """Two passwords are two engines, although both look alike when they are printed."""
    one, other = (Settings.model_validate({"database_url": f"postgresql://u:{word}@h/d"}) for word in ("a", "b"))

    assert repr(one) == repr(other)
    assert one != other
    assert one == Settings.model_validate({"database_url": "postgresql://u:a@h/d"})


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai", "OPENAI_BASE_URL"),
        ("openai-chat", "OPENAI_BASE_URL"),
        ("anthropic", "ANTHROPIC_BASE_URL"),
        ("ollama", "OLLAMA_BASE_URL"),
        ("azure", "AZURE_OPENAI_ENDPOINT"),
        ("cohere", "CO_BASE_URL"),
        ("bedrock", "AWS_REGION"),
    ],
)
def test_the_address_in_the_environment_is_known(monkeypatch: pytest.MonkeyPatch, provider: str, variable: str) -> None:
    """Answers of two servers are kept apart, also when only the environment tells them apart."""
    assert address_of_provider(provider) is None
    monkeypatch.setenv(variable, "https://one")
    one = address_of_provider(provider)
    monkeypatch.setenv(variable, "https://other")

    assert None is not one != address_of_provider(provider)
