"""What tests of code that uses the engine need: a fake provider that can be told to misbehave."""

from cognition.testing.fake_openai import FakeOpenAI
from cognition.testing.fake_script import CutConnection, Fault, Hang, MalformedJson, ReceivedCall, Reply, Step, Usage

__all__ = ["CutConnection", "FakeOpenAI", "Fault", "Hang", "MalformedJson", "ReceivedCall", "Reply", "Step", "Usage"]
