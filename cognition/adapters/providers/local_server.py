"""The program that serves a local model; `local_model` starts it and talks to it over HTTP.

It is a process of its own because llama.cpp inside the caller's interpreter crashed it on exit while an answer was
generated, blocked it while the server was deleted, and hung forked children (xllamacpp 2026.10). It ends with its
parent however that ends: it lives as long as its standard input is open.
"""

import importlib
import json
import os
import sys
from typing import Any

_SLOTS = 4  # answers generated at the same time; more only share the same cores
_CONTEXT_TOKENS = 8192  # what SmolLM2 was trained for; shared by the slots, so that one long prompt still fits
_ANSWER_TOKENS = 1024  # where no max_tokens is given; small models do not always find an end
_ERRORS_ONLY = 1


def main() -> None:
    """Serve the model named on the first line of standard input; answer with one line that says where."""
    order = json.loads(sys.stdin.readline())
    engine: Any = importlib.import_module("xllamacpp")
    parameters = engine.CommonParams()
    parameters.model.path = order["path"]
    parameters.model_alias = {order["name"]}
    parameters.api_keys = [order["api_key"]]
    parameters.cpuparams.n_threads = order["threads"]
    parameters.n_gpu_layers = 0
    parameters.n_ctx = _CONTEXT_TOKENS
    parameters.n_parallel = _SLOTS
    parameters.kv_unified = True
    parameters.n_predict = _ANSWER_TOKENS
    # Where a request says nothing: the likeliest word, but not one phrase for ever, as small models like to do.
    parameters.sampling.temp = 0.0
    parameters.sampling.penalty_repeat = 1.2
    parameters.cache_ram_mib = 0  # its default keeps up to 8 GiB of old prompts
    parameters.fit_params = False  # would probe the memory of devices we do not use
    parameters.ui = False
    parameters.endpoint_slots = False  # would show other callers' prompts
    parameters.verbosity = _ERRORS_ONLY
    server = engine.Server(parameters)
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads our standard output from here on
    sys.stdin.read()
    os._exit(0)  # deleting the server would wait for every unfinished answer


if __name__ == "__main__":
    main()
