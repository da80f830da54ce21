"""`llm_task`: a function that returns a prompt becomes a Prefect task that returns the answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, fields
from functools import partial, wraps
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast, get_args, overload
from weakref import WeakSet

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import TaskOptions
from pydantic_ai.settings import ModelSettings
from typing_extensions import Unpack

from cognition import CachePolicy, Completion
from cognition.domain.cache_policy import CacheMode
from cognition.domain.completion import Prompt, check_prompt
from cognition.errors import BudgetExceeded, CallNotPermitted, ConfigurationError
from cognition.runtime import CallOptions
from cognition_blocks.llm_reference import LLM, resolve
from cognition_blocks.retries import retry_condition

P = ParamSpec("P")
T = TypeVar("T")

Returns = Literal["output", "completion"]


class LLMTaskOptions(TaskOptions, total=False):
    """Options of `llm_task`: its own, and those of Prefect's `@task`.

    Attributes:
        llm: A `CachedLLM`, the name of its document, or None for the model of the environment (`COGNITION_MODEL`).
        namespace: Which cached answers it shares; the block's by default.
        cache: A `CachePolicy`, or "use", "refresh", "bypass" or "only".
        instructions: The system prompt.
        settings: Model settings, such as temperature; they are merged over the block's.
    """

    llm: LLM | str | None
    namespace: str | None
    cache: CachePolicy | CacheMode | None
    instructions: str | None
    settings: ModelSettings | None


class TaskMaker(Protocol[T]):
    """Makes a task of a function that returns a prompt."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, Prompt]], /) -> Task[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __call__(self, fn: Callable[P, Prompt], /) -> Task[P, T]: ...


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class PromptTask:
    """What a task does with its prompt; plain data, for it travels with the task to other processes.

    Attributes:
        function: Name of the prompt function, for messages.
        llm: The LLM that is meant.
        returns: Whether the task returns the output or the whole completion.
        call: What the LLM is told besides the prompt.
    """

    function: str
    llm: LLM | str | None = field(repr=False)
    returns: Returns
    call: dict[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what travels to another process, and remember that it does: a worker will make the calls.

        Not `__getstate__`, which dataclasses replace before Python 3.11.4.
        """
        _sent_away.add(self)
        return _arrived, tuple(getattr(self, one.name) for one in fields(self))

    def prompt_of(self, value: object) -> Prompt:
        """Return what the prompt function returned.

        Raises:
            ConfigurationError: It is neither a text nor messages; the sentence names the function.
        """
        check_prompt(value, f"The prompt that {self.function!r} returned")
        return cast("Prompt", value)

    def result_of(self, completion: Completion[Any]) -> Any:
        """Return what the task returns."""
        return completion if self.returns == "completion" else completion.output


def _arrived(function: str, llm: LLM | str | None, returns: Returns, call: dict[str, Any]) -> PromptTask:
    return PromptTask(function=function, llm=llm, returns=returns, call=call)


# Expected ends of a task, whose sentences say everything. Prefect logs the traceback of each task that fails, of which
# the engine's seventy lines are nobody's business here; a mapped task is refused many times at once. A Failed state in
# place of the error would be logged in one line, but a task that is called would return it, as if that were the answer.
_REFUSALS = (BudgetExceeded, CallNotPermitted)


def answer(task: PromptTask, prompt: object) -> Any:
    """Ask the task's LLM."""
    prompt = task.prompt_of(prompt)
    try:
        return task.result_of(resolve(task.llm).complete(prompt, **task.call))
    except _REFUSALS as error:
        raise error.with_traceback(None) from error.__cause__


async def answer_async(task: PromptTask, prompt: object) -> Any:
    """Ask the task's LLM without blocking the event loop."""
    prompt = task.prompt_of(prompt)
    llm = await asyncio.to_thread(resolve, task.llm)
    try:
        return task.result_of(await llm.acomplete(prompt, **task.call))
    except _REFUSALS as error:
        raise error.with_traceback(None) from error.__cause__


class LLMTaskDecorator(Protocol):
    """The type of `llm_task`: what the task returns follows from `output` and `returns`."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, Prompt]], /) -> Task[P, Coroutine[Any, Any, str]]: ...
    @overload
    def __call__(self, fn: Callable[P, Prompt], /) -> Task[P, str]: ...
    @overload
    def __call__(
        self, fn: None = None, /, *, returns: Literal["output"] = "output", **options: Unpack[LLMTaskOptions]
    ) -> TaskMaker[str]: ...
    @overload
    def __call__(
        self, fn: None = None, /, *, returns: Literal["completion"], **options: Unpack[LLMTaskOptions]
    ) -> TaskMaker[Completion[str]]: ...
    @overload
    def __call__(
        self,
        fn: None = None,
        /,
        *,
        output: type[T],
        returns: Literal["output"] = "output",
        **options: Unpack[LLMTaskOptions],
    ) -> TaskMaker[T]: ...
    @overload
    def __call__(
        self, fn: None = None, /, *, output: type[T], returns: Literal["completion"], **options: Unpack[LLMTaskOptions]
    ) -> TaskMaker[Completion[T]]: ...
    @overload
    def __call__(
        self,
        fn: None = None,
        /,
        *,
        output: Any,
        returns: Literal["output"] = "output",
        **options: Unpack[LLMTaskOptions],
    ) -> TaskMaker[Any]: ...
    @overload
    def __call__(
        self, fn: None = None, /, *, output: Any, returns: Literal["completion"], **options: Unpack[LLMTaskOptions]
    ) -> TaskMaker[Completion[Any]]: ...


_OWN_OPTIONS = [name for name in LLMTaskOptions.__annotations__ if name not in TaskOptions.__annotations__]


def _decorator(function: Callable[..., Any]) -> LLMTaskDecorator:
    """Give a function the overloads of `LLMTaskDecorator`, and to readers at run time every option of ours by name."""
    signature = inspect.signature(function)
    *named, task_options = signature.parameters.values()
    unnamed = [name for name in _OWN_OPTIONS if name not in signature.parameters]
    own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in unnamed]
    vars(function)["__signature__"] = signature.replace(parameters=[*named, *own, task_options])
    return cast("LLMTaskDecorator", function)


@_decorator
def llm_task(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    llm: LLM | str | None = None,
    output: Any = str,
    returns: Returns = "output",
    tags: Iterable[str] = (),
    **task_options: Any,
) -> Any:
    """Make a Prefect task of a prompt function, `@llm_task` or `@llm_task(llm="support", output=Triage)`.

    The task is an ordinary Prefect task: `submit`, `map`, `with_options`, retries, any task runner. Its answers come
    from the engine's cache, so Prefect's own cache and result persistence are off unless they are asked for.

    Args:
        fn: A sync or async function that returns a text or a list of pydantic-ai messages.
        llm: A `CachedLLM`, the name of its document, or None for the model of the environment (`COGNITION_MODEL`).
        output: The type of the answer: `str`, a pydantic model, dataclass, TypedDict, Literal or a list of them.
        returns: "output", or "completion" for the whole `Completion`.
        tags: Tags of the task; they also stand in the ledger and mark cached answers.
        **task_options: What the LLM is told, `namespace`, `cache`, `instructions` and `settings`, see `LLMTaskOptions`;
            the rest are options of Prefect's `@task`, such as `retries`.

    Raises:
        ConfigurationError: What is decorated is no function, or an option or `returns` is unknown.
    """
    if returns not in get_args(Returns):
        raise ConfigurationError(f"llm_task returns 'output' or 'completion', not {returns!r}; write one of these.")
    _check_options(task_options)
    told = {name: task_options.pop(name) for name in _OWN_OPTIONS if name in task_options}
    call = {"output": output, **{name: value for name, value in told.items() if value is not None}}

    def make(function: object) -> Task[..., Any]:
        if not callable(function):
            raise ConfigurationError(_no_function(function))
        name = getattr(function, "__qualname__", repr(function))
        plan = PromptTask(function=name, llm=llm, returns=returns, call=call)
        return Task(fn=_wrap(function, plan), tags=tags, **{**_task_defaults(task_options), **task_options})

    return make if fn is None else make(fn)


def _check_options(given: dict[str, Any]) -> None:
    unknown = [name for name in given if name not in LLMTaskOptions.__annotations__]
    if not unknown:
        return
    of_block = [name for name in unknown if name in CallOptions.__annotations__]
    own = ", ".join(("llm", "output", "returns", *_OWN_OPTIONS))
    hint = (
        f"say it of the block instead, as in llm_task(llm=CachedLLM({of_block[0]}=...))"
        if of_block
        else f"it has {own} and the options of Prefect's task"
    )
    raise ConfigurationError(f"llm_task has no option {', '.join(unknown)}; {hint}.")


def _no_function(found: object) -> str:
    """Return the sentence about what was decorated instead of a function; no block's text, for it names its server."""
    meant = repr(found) if isinstance(found, str) else "..."
    return f"llm_task decorates a function and was given a {type(found).__name__}; write llm_task(llm={meant})."


def task_decorator(llm: LLM) -> LLMTaskDecorator:
    """Return `llm_task` with an LLM that is meant by default."""
    return cast("LLMTaskDecorator", partial(cast("Any", llm_task), llm=llm))


# Only to find the ledgers of a flow whose calls are made by other processes.
_sent_away: WeakSet[PromptTask] = WeakSet()


def llms_of_workers() -> list[LLM | str | None]:
    """Return the LLMs of the tasks that this process has handed to others, each once."""
    meant = [plan.llm for plan in list(_sent_away)]
    return list({llm if isinstance(llm, str) else id(llm): llm for llm in meant}.values())


def _task_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of Prefect's task that differ from its own defaults."""
    # Prefect would hash the arguments and pickle the result of every run to no avail.
    no_cache = {} if "cache_policy" in options else {"cache_policy": NO_CACHE, "persist_result": False}
    return {**no_cache, "retry_condition_fn": retry_condition}


def _wrap(function: Callable[..., Any], plan: PromptTask) -> Callable[..., Any]:
    """Return a function that asks for the answer to a prompt function's prompt.

    The behaviour is in functions, not in a subclass of `Task`, because `with_options` returns a plain `Task`. The two
    inner functions travel to other processes by value: they may name nothing but imported functions and plain data.
    """
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def ask_async(*args: Any, **kwargs: Any) -> Any:
            return await answer_async(plan, await function(*args, **kwargs))

        wrapper: Any = ask_async
    else:

        @wraps(function)
        def ask(*args: Any, **kwargs: Any) -> Any:
            return answer(plan, function(*args, **kwargs))

        wrapper = ask
    # Prefect 3.9 makes the task's key of this function; else all our tasks of one name would share a key.
    wrapper.__prefect_task_source__ = function
    return wrapper
