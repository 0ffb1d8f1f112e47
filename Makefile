# `make demo` and `make test` work on a fresh machine: both first make .venv from pyproject.toml and constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,fast]' -c constraints.txt
	touch .venv/installed

demo: .venv/installed
	$(BIN)/recallscope slice --limit 60 --out runs/demo

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pytest -q

bench: .venv/installed
	$(BIN)/python tests/bench/bench_tags.py
	$(BIN)/python tests/bench/bench_atoms.py

clean:
	rm -rf .venv runs
