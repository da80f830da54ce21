"""The blocks are what Prefect expects of a block, keep secrets to themselves and say what they mean to the engine."""

import pickle
from datetime import timedelta
from typing import Any

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]
import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import SecretStr

from cognition import CachePolicy, Credentials, Fallback, ResiliencePolicy
from cognition.domain.breaker import BreakerPolicy
from cognition.errors import ConfigurationError
from cognition_blocks import CachedLLM, CognitionStore, LLMBudget
from cognition_blocks.global_limit import GlobalLimit

SECRET = "sk-do-not-show-me"  # noqa: S105 - no secret of anybody

BLOCKS: tuple[type[Block], ...] = (CognitionStore, CachedLLM, LLMBudget)


@pytest.mark.parametrize("block", BLOCKS)
class TestStandards(BlockStandardTestSuite):
    """Prefect's own standard for blocks of a collection."""

    @pytest.fixture
    def block(self, block: type[Block]) -> type[Block]:
        """Return the class under test."""
        return block

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Prefect's own test downloads the logo, which a machine without a network cannot; here its address is read."""
        address = str(block._logo_url)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        assert address.startswith("https://")
        assert address.endswith((".png", ".svg"))


@pytest.mark.parametrize(
    ("block", "slug"),
    [(CognitionStore, "cognition-store"), (CachedLLM, "cached-llm"), (LLMBudget, "llm-budget")],
)
def test_slugs_are_promises(block: type[Block], slug: str) -> None:
    """A new slug would orphan the documents that users have saved."""
    assert slug == block.get_block_type_slug()


@pytest.mark.parametrize("block", BLOCKS)
def test_the_ui_makes_one_control_of_each_field(block: type[Block]) -> None:
    """A choice between a type and None would be a switch, before which nobody can write anything."""
    schema = block.model_json_schema()
    fields = [
        field for model in (schema, *schema.get("definitions", {}).values()) for field in model["properties"].items()
    ]
    assert [] == [name for name, field in fields if field.get("type", "object") == "null" or "anyOf" in field]


def test_every_field_of_a_model_has_a_place_in_the_form() -> None:
    """What most people fill in comes first, free settings last; a new field needs a place too."""
    fields = CachedLLM.model_json_schema()["properties"]
    assert sorted(range(len(fields))) == sorted(field["position"] for field in fields.values())
    assert (0, len(fields) - 1) == (fields["model_name"]["position"], fields["more_settings"]["position"])


def test_model_and_settings_may_be_given_by_their_short_names() -> None:
    """The short name of the field is the name of a method, and must not replace it."""
    llm = CachedLLM.model_validate({"model": "openai:gpt-5-mini", "settings": {"seed": 1}})

    assert ("openai:gpt-5-mini", {"seed": 1}) == (llm.model_name, llm.more_settings)
    assert callable(llm.model)


@pytest.mark.parametrize(
    ("block", "wrong"), [(CachedLLM, "modle_name"), (CognitionStore, "databse_url"), (LLMBudget, "limit")]
)
def test_a_misspelt_field_is_refused(block: type[Block], wrong: str) -> None:
    """Prefect would keep it, and the environment's model or servers would be used in silence."""
    with pytest.raises(ConfigurationError, match=f"^{block.__name__} has no field {wrong}; it has ") as raised:
        block(**{wrong: "x"})

    assert all(name in str(raised.value) for name in block.model_fields)


def test_what_a_newer_version_saved_is_read() -> None:
    """Prefect loads documents by `model_validate`; fields that are not known yet are left out, in the store too."""
    document: dict[str, Any] = {"namespace": "n", "tomorrows_field": [], "store": {"tenant": "t", "zone": "eu"}}

    assert CachedLLM(namespace="n", store=CognitionStore(tenant="t")) == CachedLLM.model_validate(document)


def test_a_block_may_be_made_of_its_own_dump() -> None:
    """Prefect adds the block's type to it."""
    block = CachedLLM(namespace="n", store=CognitionStore(tenant="t"))

    assert block.to_config() == CachedLLM(**block.model_dump()).to_config()


def test_a_password_in_the_base_url_is_refused() -> None:
    """The field is shown in clear, unlike the key."""
    with pytest.raises(ConfigurationError, match="use api_key for secrets"):
        CachedLLM(base_url="https://me:pw@host/v1")


@pytest.mark.parametrize("block", BLOCKS)
def test_every_field_has_a_title_and_a_default(block: type[Block]) -> None:
    """The form shows titles; a field without default would break loading older documents."""
    for name, field in block.model_fields.items():
        assert field.title, name
        assert not field.is_required(), name


@pytest.mark.parametrize(
    ("block", "secrets"),
    [
        (CognitionStore, ["database_url", "redis_url"]),
        (CachedLLM, ["api_key", "store.database_url", "store.redis_url"]),
        (LLMBudget, ["store.database_url", "store.redis_url"]),
    ],
)
def test_prefect_is_told_which_fields_are_secret(block: type[Block], secrets: list[str]) -> None:
    """Prefect masks these in its API and UI."""
    assert secrets == sorted(block.model_json_schema()["secret_fields"])


def block_with_secrets() -> CachedLLM:
    """Return a block in which every secret field is set."""
    store = CognitionStore(database_url=SecretStr(f"postgresql://u:{SECRET}@h/d"), redis_url=SecretStr(SECRET))
    return CachedLLM(model_name="openai:gpt-5-mini", api_key=SecretStr(SECRET), store=store)


def test_no_text_of_a_block_shows_a_secret() -> None:
    """Neither its representation nor its JSON, nor the settings and configuration made from it."""
    block = block_with_secrets()

    shown = [repr(block), str(block), block.model_dump_json(), repr(block.to_settings()), repr(block.to_config())]

    assert not [text for text in shown if SECRET in text]


@pytest.mark.parametrize("library", [pickle, cloudpickle])
def test_blocks_survive_pickling(library: Any) -> None:
    """A block travels to other processes inside a task, secrets included, and holds nothing that could not."""
    block = block_with_secrets()

    copy = library.loads(library.dumps(block))

    assert block == copy
    assert block.to_settings() == copy.to_settings()


def test_an_empty_store_means_the_embedded_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the environment names other servers: the document says everything."""
    monkeypatch.setenv("COGNITION_DATABASE_URL", "postgresql://elsewhere/db")
    monkeypatch.setenv("COGNITION_TENANT", "elsewhere")

    settings = CognitionStore(tenant="here-only").to_settings()

    assert (None, None, "here-only") == (settings.database_url, settings.redis_url, settings.tenant)


def test_fields_become_what_the_engine_is_told() -> None:
    """Each field of the form has its effect, and empty fields leave the engine's defaults."""
    block = CachedLLM(
        model_name="openai-chat:gpt-5-mini",
        api_key=SecretStr("key"),
        base_url="http://localhost/v1",
        instructions="Be brief.",
        temperature=0.0,
        more_settings={"seed": 7},
        namespace="triage",
        l1_ttl_seconds=60,
        attempts=5,
        attempt_timeout_seconds=9,
        store=CognitionStore(),
    )

    config = block.to_config()

    assert ("openai-chat:gpt-5-mini", "triage", "Be brief.") == (config.model, config.namespace, config.instructions)
    assert {"seed": 7, "temperature": 0.0} == config.settings
    assert CachePolicy(l1_ttl=timedelta(minutes=1)) == config.cache
    assert ResiliencePolicy(attempts=5, attempt_timeout=timedelta(seconds=9)) == config.resilience
    assert Credentials(api_key="key", base_url="http://localhost/v1") == config.credentials


def test_resilience_fields_become_a_policy() -> None:
    """Each has its effect; what is empty leaves the default; a long pause raises the longest one with it."""
    block = CachedLLM(
        fallbacks=["anthropic:claude-haiku-4-5"],
        deadline_seconds=30,
        max_concurrent=2,
        max_waiting=0,
        failure_threshold=7,
        open_seconds=900,
        global_limit="llm",
        store=CognitionStore(),
    )

    config = block.to_config()

    breaker = BreakerPolicy(failure_threshold=7, open_for=timedelta(minutes=15), max_open=timedelta(minutes=15))
    expected = ResiliencePolicy(deadline=timedelta(seconds=30), max_concurrent=2, max_waiting=0, breaker=breaker)
    assert expected == config.resilience
    assert (Fallback("anthropic:claude-haiku-4-5"),) == config.fallbacks
    assert GlobalLimit("llm") == config.gate
    assert ResiliencePolicy() == CachedLLM(store=CognitionStore()).to_config().resilience


def test_a_fallback_without_its_provider_is_refused() -> None:
    """Before it is saved."""
    with pytest.raises(ConfigurationError, match="'provider:model'"):
        CachedLLM(fallbacks=["gpt-5-mini"])


def test_the_order_of_fields_is_a_promise() -> None:
    """The form of the UI shows them in this order; new ones come last."""
    assert [
        "fallbacks",
        "deadline_seconds",
        "max_concurrent",
        "max_waiting",
        "failure_threshold",
        "open_seconds",
        "global_limit",
    ] == list(CachedLLM.model_fields)[-7:]
    assert ["model_name", "api_key", "base_url"] == list(CachedLLM.model_fields)[:3]


def test_a_field_that_is_changed_later_counts() -> None:
    """What was worked out for earlier calls is not said again."""
    block = CachedLLM(model_name="test:a", api_key=SecretStr("old"), l1_ttl_seconds=60, store=CognitionStore())
    block.to_config()

    block.api_key, block.l1_ttl_seconds, block.attempts = SecretStr("new"), 7, 9
    block.more_settings["seed"] = 1
    config = block.to_config()

    assert ("new", 9) == (config.credentials.api_key, config.resilience.attempts)
    assert timedelta(seconds=7) == config.cache.l1_ttl
    assert {"seed": 1} == config.settings


def test_what_a_call_says_wins_over_the_block() -> None:
    """Single values replace the block's; settings are merged; a cache mode keeps the block's lives."""
    config = CachedLLM(
        model_name="test:a", temperature=0.5, l1_ttl_seconds=60, more_settings={"seed": 7}, store=CognitionStore()
    ).to_config()

    options = config.completing({"namespace": "other", "settings": {"temperature": 0}, "cache": "refresh"})

    assert ("test:a", "other") == (options.get("model"), options.get("namespace"))
    assert {"temperature": 0, "seed": 7} == options.get("settings")
    assert CachePolicy(mode="refresh", l1_ttl=timedelta(minutes=1)) == options.get("cache")


def test_the_model_of_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block without a model asks the worker's."""
    monkeypatch.setenv("COGNITION_MODEL", "local:smollm2-135m")

    assert "local:smollm2-135m" == CachedLLM(store=CognitionStore(tenant="model-test")).to_config().model
