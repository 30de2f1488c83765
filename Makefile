# Relook's commands. `make` lists them. Needs Python 3.11+ and make; each target makes what
# it needs inside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# What developers run besides relook itself: ONNX Runtime reports its use unless it is told not to.
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults looks lint types house docs smoke bench fuzz soak audit release clean

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

demo: $(VENV)/demo.stamp ## Make a library of example photographs, search it, and open the page
	@$(BIN)/relook demo --library demo-library --page

# Workers have one thread each for matrices: OpenMP's threads wait for each other by spinning, which
# takes three times the work where they have to share their cores. Three of them fill two cores, as
# many tests wait for a process. Files are drawn in their order: by their number of tests, as is usual,
# those of few and long tests come last, and two workers wait for one. Bytecode is made at first, and
# kept even where Python is told to write none: each of a thousand processes would compile what it
# imports, and each worker rewrite every test.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/dev.stamp ## Run every test
	@sh tests/e2e/browser.sh
	@$(BIN)/python -m compileall -q src tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $$(sh tests/e2e/browser.sh --ignore)

faults: $(VENV)/dev.stamp ## Kill it 200 times, live 500 lives, fill its disk, tear its catalog (half an hour)
	@RELOOK_KILLS=200 RELOOK_LIVES=500 $(BIN)/python -m pytest tests/faults

$(VENV)/node.stamp: pages/check/package.json | $(BIN)/python
	@command -v npm >/dev/null || { echo "make lint checks the page's JavaScript with TypeScript: install Node.js 20 or newer, with npm"; exit 1; }
	@mkdir -p $(VENV)/node && cp pages/check/package.json $(VENV)/node/
	@cd $(VENV)/node && npm install --silent --no-audit --no-fund --no-package-lock
	@touch $@

looks: $(VENV)/dev.stamp ## Picture every state of the page, and show what changed since `make looks KEEP=1`
	@$(BIN)/python pages/looks.py $(if $(KEEP),--keep)

lint: $(VENV)/dev.stamp $(VENV)/node.stamp ## Check style, layers, dependencies, spelling, JavaScript
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@$(BIN)/codespell
	@$(BIN)/python pages/page_types.py --check
	@$(VENV)/node/node_modules/.bin/tsc -p pages/check

types: $(VENV)/dev.stamp ## Check types (mypy, strict)
	@$(BIN)/mypy

house: ## Count files, lines, doors and circles of src/relook (ARGS=--names lists them)
	@$(PYTHON) release/house.py $(ARGS)

docs: $(VENV)/dev.stamp ## Build the documentation site into site/
	@$(PIP) -e '.[docs]'
	@$(BIN)/python pages/reference.py --check
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The site is in site/; open site/index.html"

smoke: $(VENV)/dev.stamp ## Install the bare wheel, and the container's steps, and use both
	@$(BIN)/python benchmarks/smoke.py
	@$(BIN)/python release/rehearse.py

bench: $(VENV)/dev.stamp ## Measure speed, memory and quality (see benchmarks/README.md)
	@$(BIN)/python benchmarks/run.py

release: $(VENV)/dev.stamp ## Build sdist and wheel, and check them; refuses when versions differ
	@$(BIN)/python release/release.py

fuzz: $(VENV)/dev.stamp ## Fuzz whatever reads strangers' bytes (SECONDS=60 a target; needs atheris)
	@$(BIN)/python fuzz/run.py --seconds $(or $(SECONDS),60)

soak: $(VENV)/dev.stamp ## Load a real server (DURATION=3600 seconds) and watch that nothing grows
	@$(BIN)/python benchmarks/soak.py --seconds $(or $(DURATION),3600)

audit: $(VENV)/dev.stamp ## Write bill of materials and licences to dist/; fail on wrong licences and known holes
	@$(BIN)/python release/audit.py

clean: ## Remove what the other commands made
	rm -rf $(VENV) demo-library demo-photos dist site bench-out looks .pytest_cache .mypy_cache .ruff_cache
