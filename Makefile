# `make demo` and `make test` each work alone on a fresh machine: they install what they need into .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
CONSTRAINTS := .ci/constraints.txt
PYTEST := HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint format schema screenshots bench bench-compare clean

help:
	@echo "make demo         install, then attack the two bundled checkpoints and compare them"
	@echo "make test         install, then lint, check formatting and types, and run all tests"
	@echo "make lint         only the checks: ruff and pyright"
	@echo "make format       format the code, and fix what ruff can fix"
	@echo "make schema       write the JSON Schemas of all files to docs/schema/"
	@echo "make screenshots  build the site, and write pictures of its pages to build/screenshots/"
	@echo "make bench        time the engine, the registry and the site; kept in .benchmarks/"
	@echo "make bench-compare  compare the last of these runs with earlier ones; fails where something became slower"
	@echo "make clean        remove caches and build products; .venv, results and the runs of make bench stay"

demo: $(VENV)/.installed
	@$(BIN)/holdfast demo

test: lint
	@.ci/install-chromium
	OMP_NUM_THREADS=1 $(PYTEST) -m "not alone" --numprocesses auto --dist loadfile --no-loadscope-reorder
	$(PYTEST) -m alone

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(VENV)/.installed
	@$(BIN)/python -c "from pathlib import Path; from holdfast.submissions.schemas import schemas; \
	[Path('docs/schema', name).write_text(text, encoding='utf-8') for name, text in schemas().items()]"

screenshots: $(VENV)/.installed-dev
	@.ci/install-chromium
	@$(BIN)/holdfast site build --out build/site
	@$(BIN)/python tests/leaderboard/screenshots.py build/site --out build/screenshots

bench: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(PYTEST) tests/speed -o python_files='bench_*.py' --benchmark-only --benchmark-columns=min,median,rounds \
		--benchmark-storage=file://.benchmarks --benchmark-autosave --benchmark-save-data

bench-compare: $(VENV)/.installed-dev
	@$(BIN)/python tests/speed/compare.py

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# One environment, two stamps: the demo needs the package alone, the tests the development tools as well.
$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing holdfast into $(VENV); the first time this takes a few minutes."
	@$(PIP) install --editable . --constraint $(CONSTRAINTS)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing holdfast and its development tools into $(VENV); the first time this takes a few minutes."
	@$(PIP) install --editable '.[dev]' --constraint $(CONSTRAINTS)
	@touch $(VENV)/.installed $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Holdfast needs Python 3.11 or later, and \
	$(PYTHON) is older; name a newer one, as in: make PYTHON=python3.12 demo")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
