# Relook's commands. `make` lists them. Needs Python 3.11+ and make; each target makes what
# it needs inside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults lint types smoke bench clean

help: ## List the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Relook needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Relook into $(VENV) (a minute or so the first time) ..."
	@$(PIP) -e '.[demo,serve]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Relook and its development tools into $(VENV) ..."
	@$(PIP) -e '.[demo,serve,dev]'
	@touch $@ $(VENV)/demo.stamp

setup: $(VENV)/dev.stamp ## Make the development environment

demo: $(VENV)/demo.stamp ## Index example photographs, search them, and open the page
	@$(BIN)/relook demo --library demo-library --page

test: $(VENV)/dev.stamp ## Run every test
	@sh tests/e2e/browser.sh
	@$(BIN)/python -m pytest $$(sh tests/e2e/browser.sh --ignore)

faults: $(VENV)/dev.stamp ## Kill it 200 times, fill its disk, tear its catalog (a quarter of an hour)
	@RELOOK_KILLS=200 $(BIN)/python -m pytest tests/faults

lint: $(VENV)/dev.stamp ## Check style, layers, dependencies and spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@$(BIN)/codespell

types: $(VENV)/dev.stamp ## Check types (mypy, strict)
	@$(BIN)/mypy

smoke: $(VENV)/dev.stamp ## Install the bare wheel into a new environment and search with it
	@$(BIN)/python benchmarks/smoke.py

bench: $(VENV)/dev.stamp ## Measure speed, memory and quality (see benchmarks/README.md)
	@$(BIN)/python benchmarks/run.py

clean: ## Remove what the other commands made
	rm -rf $(VENV) demo-library dist bench-out .pytest_cache .mypy_cache .ruff_cache
