# `make help` lists what there is. Everything runs in .venv, which `make setup` fills.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.ready
TESTS ?= tests
MINUTES ?= 10
SEED ?= 1
STACK ?= sqlite
IN_GROUPS := -n 3 --dist loadgroup --no-loadscope-reorder # tests/conftest.py orders the groups
# tests/broker asks both databases; the tests left out, and those marked `any_stack`, do not depend on the stack
ON_A_STACK := $(addprefix tests/,api browser/test_flower.py chaos cli/commands e2e \
	$(addprefix workers/,attempt native_batches runtime services))

# compiled modules are kept, whatever the shell says: tests start processes by the hundred
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-scale test-install check format examples audit lock screenshots bench bench-peers bench-growth chaos fuzz clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(SETUP) ## create .venv and install everything into it

$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(SETUP) ## start everything with a simulated provider, run 122 prompts, show what happened
	$(BIN)/waybill demo

up: $(SETUP) ## start Valkey, the API, a worker and Flower here (Ctrl-C stops them)
	$(BIN)/waybill up

test: $(SETUP) ## run the tests (those that need a service run where they find it)
	$(BIN)/pytest -q $(IN_GROUPS) $(TESTS)

test-scale: $(SETUP) ## run on PostgreSQL, RabbitMQ and Redis the tests that use a database or a queue
	WAYBILL_TEST_STACK=scale $(BIN)/pytest -q $(IN_GROUPS) $(ON_A_STACK)

test-install: $(SETUP) ## build the wheel, install it alone, start it in a directory of another project
	$(BIN)/pytest -q -m install tests/install

check: $(SETUP) ## ruff, mypy, import contracts, size gates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_architecture.py

format: $(SETUP) ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

examples: $(SETUP) ## record the examples of the API reference again
	$(BIN)/python -m tests.api.answers.record

audit: ## look for known vulnerabilities of the pinned versions (asks the package index)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

lock: $(SETUP) ## write locks/: constraints.txt with hashes, for the image (asks the package index)
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m tests.install.lock --uv $(VENV)/lock/bin/uv

screenshots: $(SETUP) ## take a screenshot of every page of the dashboard (light, dark, phone), for README and docs
	$(BIN)/python -m tests.browser.screenshots

bench: $(SETUP) ## measure throughput, overhead, CPU and memory against a direct call, and how they grow
	$(BIN)/python -m tests.benchmarks.run
	$(BIN)/python -m tests.benchmarks.growth

bench-peers: $(SETUP) ## measure beside LiteLLM and Portkey (installs them): ARGS="--repeat 5 --stack scale --source PATH"
	$(BIN)/python -m tests.benchmarks.peers $(ARGS)

bench-growth: $(SETUP) ## measure whether a call costs more with 10^6 jobs, 5,000 endpoints, …, and draw it
	$(BIN)/python -m tests.benchmarks.growth $(ARGS)

chaos: $(SETUP) ## break parts at random under mixed load: MINUTES=10 SEED=1 STACK=sqlite|scale
	WAYBILL_TEST_STACK=$(STACK) $(BIN)/python -m tests.chaos.run --minutes $(MINUTES) --seed $(SEED)

fuzz: $(SETUP) ## send arbitrary streams, bodies, files and headers: MINUTES=2
	$(BIN)/python -m tests.fuzz.run --minutes $(MINUTES)

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
