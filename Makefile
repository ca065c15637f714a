# make demo · make test · make lint: each sets up .venv in the checkout by itself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The newest Python for which all pinned wheels exist; name another with  make PYTHON=...
PYTHON ?= $(shell for v in python3.11 python3.12 python3; do \
	$$v -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& echo $$v && break; done)
CORES ?= all

.PHONY: help setup demo test slurm lint images format models clean

help:  ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "posemill: expected Python 3.11 or 3.12 with venv, got none on PATH; install" \
		"python3.11 and python3.11-venv, or run  make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[depth,twin,images,test,lint]'
	@touch $@

setup: $(BIN)/.ready  ## Make .venv with everything pinned

demo: setup  ## Run the whole chain on the demo subject
	$(BIN)/snakemake --cores $(CORES)
	@cat results/S9/evaluation.*.txt
	@echo "Look at results/S9/pictures, results/S9/export and results/summary.tsv."

test: setup  ## Run all tests
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

slurm: setup  ## Add to .venv what profiles/slurm and profiles/cluster-generic need
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[slurm,cluster-generic]'

lint: setup  ## ruff, pyright, import-linter, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

images: setup  ## Build the container image, by Docker or Apptainer, whichever is there
	$(BIN)/posemill images build

format: setup  ## Write all files in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

clean:  ## Remove results and caches, keep .venv
	rm -rf results/* .snakemake .pytest_cache .ruff_cache .hypothesis
