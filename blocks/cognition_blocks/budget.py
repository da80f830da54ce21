"""The block that says what may be spent."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, HttpUrl, field_validator, model_validator

from cognition import Budget, Settings
from cognition.domain.budget import Period, Scope
from cognition_blocks.pages import DOCUMENTATION, LOGO
from cognition_blocks.prefect_events import engine_of_block
from cognition_blocks.store import CognitionStore, environment_settings
from cognition_blocks.strict_block import StrictBlock


class LLMBudget(StrictBlock):
    """A limit on what a workflow, user, team, model or flow run spends on language models in a period."""

    _block_type_name: ClassVar[str | None] = "LLM Budget"
    _block_type_slug: ClassVar[str | None] = "llm-budget"
    _logo_url: ClassVar[HttpUrl | None] = LOGO
    _documentation_url: ClassVar[HttpUrl | None] = DOCUMENTATION
    _description: ClassVar[str | None] = (
        "Limits what a workflow, user, team, model or flow run may spend on language models in a period."
    )
    _code_example: ClassVar[str | None] = """
```python
from cognition_blocks import LLMBudget

budget = LLMBudget.load("BLOCK_NAME")
budget.apply()
```
"""

    _form_required: ClassVar[tuple[str, ...]] = ("limit_usd",)

    scope: Scope = Field(
        default="workflow",
        title="Scope",
        description="Whose spend is limited; a flow run is the outermost one, with its subflows, tasks and retries.",
    )
    subject: str = Field(
        default="*",
        title="Subject",
        description="Which user, team, workflow, task, model or flow run; * gives each of them this limit separately.",
    )
    limit_usd: str = Field(
        default="",
        title="Limit (US dollars)",
        description="How much may be spent in a period, such as 5.00; it must be set before the budget is applied.",
    )
    soft_limit: float = Field(
        default=0.8,
        gt=0,
        le=1,
        title="Soft limit",
        description="Share of the limit at which an alert is raised, with at most four places.",
    )
    period: Period = Field(
        default="daily",
        title="Period",
        description="After what time spending begins anew; a rolling one looks back from each call.",
    )
    length_hours: int = Field(
        default=0,
        ge=0,
        title="Length of a rolling period (hours)",
        description="How far a rolling period looks back, up to 744 hours; 0 for the other periods.",
    )
    timezone: str = Field(
        default="UTC",
        title="Time zone",
        description="IANA name of the zone whose calendar counts, such as Europe/Berlin.",
    )
    week_start: int = Field(
        default=1,
        ge=1,
        le=7,
        title="First day of the week",
        description="Of a weekly period: 1 is Monday, 7 is Sunday.",
    )
    on_soft: Literal["warn", "downgrade"] = Field(
        default="warn",
        title="Beyond the soft limit",
        description="What happens to calls then: a mere alert, or the cheaper model.",
    )
    on_hard: Literal["block", "downgrade"] = Field(
        default="block",
        title="At the limit",
        description="What happens to calls that no longer fit: refused, or the cheaper model while that fits.",
    )
    downgrade_to: str | None = Field(
        default=None,
        title="Cheaper model",
        description="Provider and model of downgraded calls, such as openai:gpt-5-nano.",
    )
    on_unknown_price: Literal["refuse", "ceiling", "allow"] = Field(
        default="refuse",
        title="Unknown prices",
        description="What happens to calls of models whose price nobody knows; ceiling sets a fixed amount aside.",
    )
    price_ceiling_usd: str | None = Field(
        default=None,
        title="Ceiling of unknown prices (US dollars)",
        description="What a call of unknown price sets aside, when that is how they are treated.",
    )
    on_store_down: Literal["closed", "open", "last_known"] = Field(
        default="closed",
        title="While PostgreSQL is away",
        description="Nobody may spend (closed), everybody may (open), or whoever had room last (last known).",
    )
    last_known_minutes: int | None = Field(
        default=None,
        gt=0,
        title="Life of the last known state (minutes)",
        description="For how long what was last known is good enough, when that is what counts.",
    )
    store: CognitionStore | None = Field(
        default=None,
        title="Store",
        description="Where the budget counts; empty takes the worker's COGNITION_ variables.",
    )

    @field_validator("store", mode="before")
    @classmethod
    def load_store(cls, value: object) -> object:
        """Make a store of the data of a nested document as Prefect does of a document of its own."""
        return CognitionStore.model_validate(value) if isinstance(value, dict) else value

    @field_validator("limit_usd", "price_ceiling_usd", mode="before")
    @classmethod
    def load_amount(cls, value: Any) -> Any:
        """Take exact numbers for amounts too; a float is none."""
        return str(value) if isinstance(value, (Decimal, int)) else value

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse what could not be enforced, before it is saved; one without a limit is not finished yet."""
        _ = self.to_budget() if self.limit_usd else None
        return self

    def to_settings(self) -> Settings:
        """Return what the engine behind this block is opened with."""
        return environment_settings() if self.store is None else self.store.to_settings()

    def to_budget(self) -> Budget:
        """Return what the engine is told.

        Raises:
            ConfigurationError: A value is wrong or missing; the sentence says what to write instead.
        """
        minutes = self.last_known_minutes
        return Budget(
            scope=self.scope,
            subject=self.subject,
            limit_usd=self.limit_usd,
            period=self.period,
            length=timedelta(hours=self.length_hours),
            timezone=self.timezone,
            week_start=self.week_start,
            soft_limit=self.soft_limit,
            on_soft=self.on_soft,
            on_hard=self.on_hard,
            downgrade_to=self.downgrade_to,
            on_unknown_price=self.on_unknown_price,
            price_ceiling_usd=self.price_ceiling_usd,
            on_store_down=self.on_store_down,
            last_known_max_age=None if minutes is None else timedelta(minutes=minutes),
        )

    def apply(self) -> UUID:
        """Let the budget count from now on, in all processes; what was spent under the same one before stays spent.

        The block is the whole truth: what it does not name gets its default, whatever the same budget had before.

        Returns:
            The id of the budget.

        Raises:
            ConfigurationError: A value is wrong or missing; the sentence says what to write instead.
            CacheUnavailable: The store does not answer.
        """
        return engine_of_block(self.to_settings()).budgets.set(self.to_budget(), by="LLMBudget")
