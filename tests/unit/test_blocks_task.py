"""`llm_task` makes an ordinary Prefect task whose behaviour survives copies and pickles."""

import inspect
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]
import pytest
from prefect import Task
from prefect.cache_policies import INPUTS, NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed
from pydantic import SecretStr
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

from cognition import Cognition, Completion
from cognition.domain.completion import Prompt
from cognition.domain.entry import Layer
from cognition.errors import ConfigurationError, QuotaExhausted, RateLimited
from cognition_blocks import CachedLLM, llm_task, retry_condition
from cognition_blocks.task import task_decorator


class Echo:
    """An LLM that answers with the prompt and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    @property
    def engine(self) -> Cognition:
        """Have none."""
        raise NotImplementedError

    def complete(self, prompt: Prompt, **options: Any) -> Completion[Any]:
        """Answer at once."""
        self.told.append({"prompt": prompt, **options})
        return Completion(
            output=prompt,
            response=ModelResponse(parts=[TextPart(str(prompt))]),
            layer=Layer.PROVIDER,
            request_id="1",
            model="test:echo",
            requested_model="test:echo",
            cost_usd=Decimal(0),
            saved_usd=Decimal(0),
            latency=timedelta(0),
        )

    async def acomplete(self, prompt: Prompt, **options: Any) -> Completion[Any]:
        """Answer at once."""
        return self.complete(prompt, **options)


@pytest.fixture
def echo() -> Echo:
    """Return an LLM that answers with the prompt."""
    return Echo()


def test_the_task_returns_the_output(echo: Echo) -> None:
    """The prompt function's return value goes to the LLM, the LLM's output to the caller."""

    @llm_task(llm=echo)
    def greet(name: str) -> str:
        return f"Hello {name}"

    assert "Hello Ada" == greet.fn("Ada")


def test_the_task_returns_the_completion_on_request(echo: Echo) -> None:
    """`returns="completion"` gives cost and layer too."""

    @llm_task(llm=echo, returns="completion")
    def greet(name: str) -> str:
        return f"Hello {name}"

    assert Layer.PROVIDER is greet.fn("Ada").layer


async def test_an_async_prompt_function_makes_an_async_task(echo: Echo) -> None:
    """Prefect sees a coroutine function and gets the answer by awaiting it."""

    @llm_task(llm=echo)
    async def greet(name: str) -> str:
        return f"Hello {name}"

    assert greet.isasync
    assert "Hello Ada" == await greet.fn("Ada")


def test_the_llm_is_told_what_the_decorator_says_and_nothing_else(echo: Echo) -> None:
    """Options that are left out or None do not override the block's."""

    @llm_task(llm=echo, output=list[str], namespace="n", cache="refresh", instructions=None, settings={"seed": 7})
    def ask() -> str:
        return "?"

    ask.fn()

    expected = {"prompt": "?", "output": list[str], "namespace": "n", "cache": "refresh", "settings": {"seed": 7}}
    assert [expected] == echo.told


def test_a_copy_with_other_options_still_asks(echo: Echo) -> None:
    """Prefect's `with_options` returns a plain `Task`, so the behaviour must be in the function."""

    @llm_task(llm=echo, tags=["project:x"])
    def greet(name: str) -> str:
        return f"Hello {name}"

    copy = greet.with_options(name="Greeting", retries=2)

    assert "Hello Ada" == copy.fn("Ada")
    assert {"project:x"} == copy.tags
    assert retry_condition is copy.retry_condition_fn


def test_the_task_looks_like_the_prompt_function(echo: Echo) -> None:
    """Name, description and signature are the user's, and the source for the task's key too."""

    def greet(name: str, *, politely: bool = False) -> str:
        """Greet somebody."""
        return f"{name}{politely}"

    task: Task[..., Any] = llm_task(llm=echo)(greet)

    assert ("greet", "Greet somebody.") == (task.name, task.description)
    assert inspect.signature(greet) == inspect.signature(task.fn)
    assert greet is vars(task.fn)["__prefect_task_source__"]


def test_prefects_own_cache_is_off() -> None:
    """Prefect would hash and pickle every run's arguments to no avail."""
    task: Task[..., Any] = llm_task(ask_politely)

    assert (NO_CACHE, False, 0) == (task.cache_policy, task.persist_result, task.retries)


def test_prefects_own_cache_can_be_asked_for() -> None:
    """An explicit cache policy keeps Prefect's default for persistence."""
    task: Task[..., Any] = llm_task(cache_policy=INPUTS)(ask_politely)

    assert INPUTS == task.cache_policy
    assert task.persist_result is True


def test_a_task_survives_cloudpickle() -> None:
    """Process pools, Dask and Ray get the task that way, here with a function that is pickled by value."""

    def shout(name: str) -> str:
        return name.upper()

    task: Task[..., Any] = llm_task(llm=Echo())(shout)

    copy: Task[..., Any] = cloudpickle.loads(cloudpickle.dumps(task))  # pyright: ignore[reportUnknownMemberType]

    assert "ADA" == copy.fn("Ada")


def test_messages_are_a_prompt(echo: Echo) -> None:
    """A list of pydantic-ai messages goes to the LLM as it is."""
    messages = [ModelRequest(parts=[UserPromptPart("Hello")])]

    @llm_task(llm=echo)
    def greet() -> list[ModelRequest]:
        return messages

    greet.fn()

    assert messages == echo.told[0]["prompt"]


@pytest.mark.parametrize("returned", [None, 7, [], ["text"], {"role": "user"}], ids=repr)
def test_a_prompt_function_that_returns_no_prompt_is_named(echo: Echo, returned: object) -> None:
    """The rules are the request's; the sentence says which function broke them, before anything is asked."""

    def broken() -> str:
        return cast("str", returned)

    with pytest.raises(ConfigurationError, match=r"^The prompt that '.*broken' returned .*; pass a text or"):
        llm_task(llm=echo)(broken).fn()

    assert [] == echo.told


@pytest.mark.parametrize(
    ("option", "hint"),
    [("model", r"llm_task\(llm=CachedLLM\(model=\.\.\.\)\)"), ("retires", "it has llm, output, .* of Prefect's task")],
)
def test_an_unknown_option_is_refused(option: str, hint: str) -> None:
    """What belongs to the block is sent there."""
    with pytest.raises(ConfigurationError, match=rf"^llm_task has no option {option}; .*{hint}"):
        llm_task(**{option: "openai:gpt-5-mini"})  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_name_in_place_of_the_function_is_refused() -> None:
    """The sentence is what to write."""
    with pytest.raises(ConfigurationError, match=r"given a str; write llm_task\(llm='support'\)\.$"):
        cast("Any", llm_task)("support")


def test_an_unknown_kind_of_result_is_refused() -> None:
    """When the task is made, not when it runs."""
    with pytest.raises(ConfigurationError, match="returns 'output' or 'completion', not 'x'"):
        cast("Any", llm_task)(returns="x")


def test_readers_see_every_option() -> None:
    """`help(llm_task)` and editors that run the code show names, defaults and a text."""
    parameters = inspect.signature(llm_task).parameters

    shown = {name: parameter.default for name, parameter in parameters.items() if name != "task_options"}
    unset = dict.fromkeys(["fn", "llm", "namespace", "cache", "instructions", "settings"])
    assert {**unset, "output": str, "returns": "output", "tags": ()} == shown
    assert inspect.Parameter.VAR_KEYWORD is parameters["task_options"].kind
    assert "llm_task" == getattr(llm_task, "__name__", None)
    assert "prompt function" in (inspect.getdoc(llm_task) or "")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (RateLimited("Wait.", retry_after=1.0), True),
        (QuotaExhausted("Pay."), False),
        (ConfigurationError("Mend it."), False),
        (ValueError("the prompt function's own"), True),
    ],
)
def test_prefect_starts_a_task_again_only_when_that_may_help(error: Exception, again: bool) -> None:  # noqa: FBT001
    """Errors that would come again end the task run; those of the prompt function are Prefect's to judge."""
    task: Task[..., Any] = llm_task(ask_politely)

    assert again is retry_condition(task, TaskRun.model_construct(), Failed(data=error))


def test_the_retry_condition_is_a_plain_function() -> None:
    """Prefect 3.8 takes any other callable for "never"."""
    assert inspect.isfunction(retry_condition)


def test_no_secret_shows_in_the_decorator() -> None:
    """A block's own decorator shows the block, whose key is masked."""
    assert "sk-secret" not in repr(CachedLLM(api_key=SecretStr("sk-secret")).task)


def test_the_blocks_own_decorator_asks_the_block(echo: Echo) -> None:
    """Unless the task names another."""

    def greet() -> str:
        return "Hello"

    decorator = task_decorator(echo)
    assert "Hello" == decorator(greet).fn()
    other = Echo()
    assert "Hello" == decorator(llm=other)(greet).fn()
    assert (1, 1) == (len(echo.told), len(other.told))


def ask_politely() -> str:
    """Return a prompt."""
    return "please"
