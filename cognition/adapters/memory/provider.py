"""A provider that answers from a script."""

from __future__ import annotations

from collections import deque

from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from cognition.domain.completion import CompletionRequest
from cognition.errors import ConfigurationError

Answer = str | ModelResponse | Exception
"""A finished answer of one text, a whole answer, or an error to raise."""


class ScriptedProvider:
    """Gives its answers in order, one a call.

    Attributes:
        requests: What was asked, in order.
        closed: Whether it was closed.
    """

    def __init__(self, *answers: Answer) -> None:
        """Prepare answers.

        Args:
            *answers: What to give to the first call, the second, …
        """
        self._answers = deque(answers)
        self.requests: list[CompletionRequest] = []
        self.closed = False

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return len(self.requests)

    def then(self, *answers: Answer) -> None:
        """Prepare more answers."""
        self._answers.extend(answers)

    async def prepare(self, request: CompletionRequest) -> None:
        """Be ready."""

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Return or raise the next answer.

        Raises:
            ConfigurationError: No answer is left.
        """
        self.requests.append(request)
        if not self._answers:
            raise ConfigurationError("The ScriptedProvider has no answer left; prepare one for each call.")
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, ModelResponse) else _finished(answer, request)

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


def _finished(text: str, request: CompletionRequest) -> ModelResponse:
    return ModelResponse(
        parts=[TextPart(text)],
        usage=RequestUsage(input_tokens=10, output_tokens=5),
        model_name=request.model.partition(":")[2],
        provider_name=request.provider,
        finish_reason="stop",
    )
