# gendist: `make run` for results, `make test` for confidence, `make help` for the rest.
# Kept to what GNU make 3.81 (macOS) understands.

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
KILLS ?= 200
SEED ?= 0
CORPUS ?=
OUT ?= pocket-training
ARGS ?=

# On Linux, PyPI's torch brings gigabytes of CUDA libraries. Without an NVIDIA GPU, point the torch step (and nothing
# else) to PyTorch's own CPU wheels: make run TORCH_INDEX=https://download.pytorch.org/whl/cpu
# (--no-deps: that index holds few versions of torch's requirements; the next step takes the pinned ones from PyPI.)
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
# Slow tests that measure no times.
UNTIMED := tests/unit/classifier tests/robustness/test_hostile_texts.py tests/workflow/test_examples.py \
	tests/workflow/test_light_wheel.py tests/workflow/test_up_to_date.py tests/workflow/test_wheel.py
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run workflow test test-all test-slurm chaos bench check audit format docs docs-serve pocket clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | awk -F'|' '{printf "%-17s %s\n", $$1, $$2}'

# --- set-up: one stamp per set of packages, redone only when the packages change ---

$(VENV)/.run-stamp: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "No '$(PYTHON)' found: install Python 3.11 or newer, or run make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version 2>&1) is too old: gendist needs 3.11 or newer (make PYTHON=python3.12, say)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$$($(PYTHON) --version 2>&1) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@test -x $(BIN)/pip || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing torch"
	@$(PIP) torch $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX))
	@echo "Installing gendist and what it runs on"
	@$(PIP) -e ".[study]"
	@touch $@

$(VENV)/.test-stamp: $(VENV)/.run-stamp
	@echo "Installing the test tools"
	@$(PIP) -e ".[study,test,docs,bpemb,setfit,model2vec,lora,endpoint,tracking,slurm,kubernetes]"
	@touch $@

# --- the default study ---

run: $(VENV)/.run-stamp ## the default study: tables, figures, report, classifier [CORES=n]
	@$(BIN)/gendist run config.yaml --cores $(CORES)

workflow: $(VENV)/.run-stamp ## how the default study ran, rule by rule: results/workflow.html
	@$(BIN)/snakemake --report results/workflow.html

# --- checks ---

check: $(VENV)/.test-stamp ## formatting, lint, types and spelling, without the tests
	@echo "== ruff check";       $(BIN)/ruff check .
	@echo "== ruff format";      $(BIN)/ruff format --check .
	@echo "== snakefmt";         $(BIN)/snakefmt --check Snakefile rules
	@echo "== mypy";             $(BIN)/mypy
	@echo "== codespell";        $(BIN)/codespell
	@echo "== snakemake --lint"; $(BIN)/snakemake --lint

test: check ## check, then the tests that take minutes in all
	@echo "== pytest -m 'not slow'"; $(BIN)/pytest -m "not slow" $(PARALLEL)

test-all: test ## check, then every test: most slow ones one at a time, since some measure times
	@echo "== pytest -m slow, in parallel"; $(BIN)/pytest -m slow -n auto --maxprocesses 4 $(UNTIMED)
	@echo "== pytest -m slow"; $(BIN)/pytest -m slow $(UNTIMED:%=--ignore=%)

test-slurm: $(VENV)/.test-stamp ## the tests on a real Slurm of one node; tests/robustness/slurm/install.sh installs it
	@$(BIN)/pytest tests/robustness/slurm -rs

bench: $(VENV)/.test-stamp ## speeds beside what else one would use, as ratios, also in results/bench/ [ARGS="--rounds 3 inference"]
	@$(BIN)/python -m tools.bench $(ARGS)

# Not part of the tests: it sends every pinned package to PyPI's service. Without --strict, packages that the service
# does not cover would be skipped, and a run without any answer would succeed.
audit: $(VENV)/.run-stamp ## known vulnerabilities of the pinned packages; asks PyPI, so it needs the network
	@test -x $(BIN)/pip-audit || $(PIP) -e ".[study,audit]"
	@found=$$($(BIN)/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints.txt 2>&1) || \
		{ echo "$$found" | grep -vE '^( |Traceback|During|The above|WARNING|$$)'; \
		echo "make audit: not clean: a vulnerability stands above, or PyPI's service could not be asked"; exit 1; }
	@echo "make audit: no known vulnerability in constraints.txt"

chaos: $(VENV)/.test-stamp ## kill a small study at 200 random moments and see that nothing is lost [KILLS=n SEED=n]
	@KILLS=$(KILLS) SEED=$(SEED) $(BIN)/pytest -s tests/robustness/chaos

format: $(VENV)/.test-stamp ## reformat the code and fix what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/snakefmt Snakefile rules

# --- the documentation site ---

# Hide the theme's advertisement of its successor.
docs docs-serve: export NO_MKDOCS_2_WARNING = 1

docs: $(VENV)/.test-stamp ## the documentation site in site/: open site/index.html
	@$(BIN)/python -m mkdocs build --strict --quiet
	@echo "Site: site/index.html"

docs-serve: $(VENV)/.test-stamp ## show the site at http://127.0.0.1:8000 and rebuild it whenever a page is saved
	@$(BIN)/python -m mkdocs serve --strict

# --- the pocket models ---

pocket: $(VENV)/.run-stamp ## train the pocket models, or resume: CORPUS=folder of Parquet files [OUT=folder] [ARGS=...]
	@test -n "$(CORPUS)" || { echo "CORPUS is not set: make pocket CORPUS=folder (Parquet files with a column 'text')"; exit 1; }
	@$(BIN)/python -m tools.pocket --corpus "$(CORPUS)" --out "$(OUT)" $(ARGS)

clean: ## remove .venv, site/ and the tools' caches; results/ and .snakemake/ stay
	@rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
