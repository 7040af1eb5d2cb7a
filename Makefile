# Everything happens in .venv, made on first use. Where plain kedro, dvc or pytest would do, a target only calls them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DO_NOT_TRACK := 1
export KEDRO_DISABLE_TELEMETRY := 1
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false

INSTALLED := $(VENV)/.installed

.PHONY: help setup run test lint types viz clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(INSTALLED)  ## Make .venv and install the project from pinned versions

# The demo's renderer, pybullet, has ready-made Linux wheels for Python 3.11 only: prefer that one.
$(INSTALLED): pyproject.toml constraints.txt
	@python=$$(for candidate in python3.11 python3.12 python3; do \
	    if $$candidate -c 'import sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; \
	    then echo $$candidate; break; fi; done); \
	if [ -z "$$python" ]; then echo "Prolepsis needs Python 3.11 or 3.12 on the PATH, with its venv module." >&2; exit 1; fi; \
	[ -x $(VENV)/bin/python ] || $$python -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: setup  ## Make the demo data, run everything, and print where the report is
	dvc repro
	@echo; echo "The report: $(CURDIR)/data/08_reporting/report.html"

test: setup lint types  ## Lint, types, import contracts, the generated dvc.yaml, and the tests
	lint-imports
	kedro stages check
	pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup
	ruff check
	ruff format --check

types: setup
	mypy

viz: setup  ## Open the pipelines in Kedro-Viz
	kedro viz run

clean:  ## Remove what the pipelines made, and the checkpoints; raw data stays
	rm -rf checkpoints data/0[2-8]_* data/test
