# Everything a user or a maintainer does, in one place. `make help` lists it.
.DEFAULT_GOAL := help
BIN := .venv/bin
MEMBERS := libs/events libs/boards libs/web libs/client libs/pytest libs/mcp services/observability services/documents services/agent services/flash-agent deploy
SOURCES := $(MEMBERS:=/src)
# One more than there are cores: a test mostly waits for the processes that it started.
PYTEST_WORKERS ?= $(shell expr $$(nproc) + 1)
# An installation in the user's site-packages, or of another project's PYTHONPATH, has no say here.
export PYTHONNOUSERSITE := 1
unexport PYTHONPATH
# Hundreds of processes start in the tests: each would compile what it imports again.
unexport PYTHONDONTWRITEBYTECODE

help: ## list what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/installed ## install what is missing: Debian packages, uv, the locked Python packages

# The stamp holds the place that it was made for: scripts in .venv name it, so that a folder that was moved is installed again.
ifneq ($(CURDIR),$(shell cat .venv/installed 2>/dev/null))
.PHONY: .venv/installed
endif
.venv/installed: requirements.lock deploy/setup.sh $(MEMBERS:=/pyproject.toml) | packages
	@deploy/setup.sh python
	@pwd -P >$@

packages: # looked at every time: a Debian package may have been removed
	@deploy/setup.sh packages

demo: setup ## make firmware for two virtual boards, flash it, and watch them print
	@$(BIN)/benchwire demo

up: setup ## start a lab on this machine and keep it up (Ctrl-C ends it)
	@$(BIN)/benchwire up --virtual stm32f405 --virtual esp32c3

doctor: setup ## say what is there and what is missing
	@$(BIN)/benchwire doctor

browser: | packages # only the tests need one
	@deploy/setup.sh test-packages

test: setup browser lint types ## everything that has to pass: lint, types, import contracts, tests
	@$(BIN)/pytest -n $(PYTEST_WORKERS) --dist worksteal -q

faults: setup ## break a lab in 200 ways (BENCHWIRE_SEED, BENCHWIRE_FAULTS), write a report; then every test with faults
	@$(BIN)/python -m tests.faults.harness
	@$(BIN)/pytest -n $(PYTEST_WORKERS) --dist worksteal -q -m "long or not long" -k "not over_hundreds" tests/faults

bench: setup ## measure side by side with other ways to do the same (some 20 minutes); writes docs/performance.md
	@$(BIN)/python -m benchmarks

lint: setup ## format, lint and import contracts, checked
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports

types: setup ## the strict type check
	@$(BIN)/mypy $(SOURCES) tests benchmarks

format: setup ## format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: setup ## write the generated parts of the documentation
	@$(BIN)/python -m benchwire.events.reference ARCHITECTURE.md
	@$(BIN)/python -m benchwire.deploy.asyncapi docs/asyncapi.json services/observability/src/benchwire/observability/asyncapi.json

screenshots: setup browser ## take the pictures of the page in docs/ again
	@BENCHWIRE_SCREENSHOTS=docs $(BIN)/pytest -n 0 -q tests/e2e/browser

lock: setup ## resolve the newest versions again and write requirements.lock
	@.tools/bin/uv lock --upgrade
	@.tools/bin/uv export --quiet --all-packages --all-extras --all-groups --no-emit-workspace --no-header --output-file requirements.lock

clean: ## remove everything that setup and test runs made
	@rm -rf .venv .tools .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help setup packages browser demo up doctor test faults bench lint types format docs screenshots lock clean
