# Everything runs in this folder's own .venv; PYTHON is only what makes it (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv/bin
DEMO ?= runs/demo
# Test files that run at once; a test may take some 2 GB.
WORKERS ?= 2

.PHONY: demo test test-slow lint docs clean

# Phantoms -> TFRecord -> the four models -> table, figures, SavedModels; rerun to resume.
demo: .venv/installed
	$(VENV)/python -m experiments.reproduce --preset=demo --workdir=$(DEMO)

test: .venv/installed-test
	$(VENV)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-slow: .venv/installed-test
	$(VENV)/python -m pytest -n $(WORKERS) --dist loadfile -m slow

lint: .venv/installed-test
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy

clean:
	rm -rf .venv build dist *.egg-info runs .pytest_cache .ruff_cache .mypy_cache

.venv/installed: setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $$($(PYTHON) --version 2>&1) found, Python 3.11 to 3.13 needed; call make with PYTHON=python3.13 or alike"; exit 2; }
	$(PYTHON) -m venv .venv
	$(VENV)/python -m pip install --quiet --editable ".[baselines]"
	@touch $@

.venv/installed-test: .venv/installed
	$(VENV)/python -m pip install --quiet --editable ".[test]"
	@touch $@

docs: .venv/installed-test
	$(VENV)/python docs/generate.py
