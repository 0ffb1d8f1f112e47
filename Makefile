# `make demo` and `make test` work on a fresh machine: both first make .venv from pyproject.toml and constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo models test scale bench figures gpu clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,fast]' -c constraints.txt
	touch .venv/installed

demo: .venv/installed
	$(BIN)/recallscope slice --limit 30 --out runs/demo

# The reference models, two at a time with one thread each; about two and a half hours on two cores. Resumes when run again.
models: .venv/installed
	$(MAKE) -j 2 runs/models/attention/card.json runs/models/hyena/card.json runs/models/window/card.json runs/models/based/card.json

runs/models/%/card.json:
	OMP_NUM_THREADS=1 $(BIN)/recallscope train lm $* --out runs/models/$*

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pytest -q -n auto --dist worksteal

# Slicing by several workers: installs Daft and Ray, and compares their runs with local ones; minutes. In two steps: Daft asks
# for an older pyarrow than the held-out text is made of, and works with this one.
scale: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check ray -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps daft -c constraints.txt
	$(BIN)/pytest -q -n 0 tests/slicing/engines

bench: .venv/installed
	$(BIN)/python tests/bench/bench_tags.py
	$(BIN)/python tests/bench/bench_atoms.py

# On a machine with one NVIDIA GPU: the Triton kernels are right, then rows of evidence for kernels/evidence. Resumes.
gpu: .venv/installed
	$(BIN)/pytest -q -n 0 tests/kernels/test_profiling_gpu.py tests/kernels/test_based_triton.py tests/kernels/test_decode_triton.py tests/kernels/test_based_backward_triton.py tests/kernels/test_jrt_prefix_triton.py tests/kernels/test_short_convolution.py
	$(BIN)/python paper_figures/kernels_rows.py --minutes 20

# Every figure of paper_figures, its table, and the README there, from stored evidence; nothing is trained or downloaded.
figures: .venv/installed
	$(BIN)/python paper_figures/make_figures.py

clean:
	rm -rf .venv runs
