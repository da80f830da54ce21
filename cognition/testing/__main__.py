"""Run the fake provider in a process of its own: `python -m cognition.testing --port 8123`."""

import argparse
import threading

from cognition.testing.fake_openai import FakeOpenAI
from cognition.testing.fake_script import Reply


def main() -> None:
    """Print the address, then serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m cognition.testing", description="A fake OpenAI and Anthropic API.")
    parser.add_argument("--port", type=int, default=0, help="TCP port on loopback; 0 takes a free one")
    parser.add_argument("--text", help="the answer to every prompt; without it an echo")
    parser.add_argument("--delay-seconds", type=float, default=0.0, help="time before each answer")
    options = parser.parse_args()
    default = Reply(text=options.text, delay_seconds=options.delay_seconds)
    with FakeOpenAI(default=default, port=options.port) as provider:
        print(provider.base_url, flush=True)  # noqa: T201 - the address is this command's output
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
