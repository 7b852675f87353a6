# What a newcomer types. Each target does its own set-up.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup check test coverage docs links bench installs notebooks demo demo-short clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## install selcn and its pinned dependencies into .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("selcn needs Python 3.11 or newer; try: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --constraints constraints.txt --compile-bytecode --editable '.[dev]'
	touch $@

check: $(READY) ## lint, formatting, strict typing, layer contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: $(READY) ## all tests, warnings as errors
	$(BIN)/pytest --numprocesses 2 --dist loadfile

coverage: $(READY) ## all tests, and which lines and branches none of them reaches
	$(BIN)/pytest --numprocesses 2 --dist loadfile --cov

docs: $(READY) ## the documentation site, warnings as errors, to docs/_build/index.html
	$(BIN)/sphinx-build --fail-on-warning --quiet docs docs/_build

links: $(READY) ## whether the addresses that the documentation links to answer; needs the network
	$(BIN)/sphinx-build --builder linkcheck --quiet docs docs/_build/links

bench: $(READY) ## the benchmarks that need no files, to docs/benchmarks.md; half an hour on a machine that does nothing else
	$(BIN)/python benchmarks/record.py
	$(BIN)/python docs/results/make.py

installs: $(READY) ## the wheel in empty environments, one an extra, to docs/results/installs.json; some minutes
	$(BIN)/python tests/install/run.py

notebooks: $(READY) ## execute the notebooks and store them with their outputs
	$(BIN)/python notebooks/run.py

demo: $(READY) ## the whole cascade on synthetic data, to runs/demo/report.html
	$(BIN)/selcn run demo --out runs/demo

demo-short: $(READY) ## the same steps in a minute, for continuous integration
	$(BIN)/selcn run demo --out runs/demo-short --set data.images=160 --set lesion.epochs=1 --set symmetry.epochs=1 --set diagnosis.epochs=1 --set resamples=200

clean: ## remove the environment and the demo runs
	rm -rf .venv runs/demo runs/demo-short
