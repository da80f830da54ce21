"""`cognition demo`: the main job on real input, three times, with what each pass cost and saved."""

from cognition_flows.demo.report import print_demo
from cognition_flows.demo.run import run_demo

__all__ = ["print_demo", "run_demo"]
