# Few verbs: make demo, make test, make lint, make bench. Each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-fast lint bench clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev,detect]'
	touch $(STAMP)

demo: $(STAMP)  ## rain on a short clip, derain it, leave the results in demo/
	$(BIN)/rainclear demo --out demo --overwrite

test: lint  ## everything that CI runs
	$(BIN)/python -m pytest

test-fast: $(STAMP)  ## the tests that take no more than a few seconds each
	$(BIN)/python -m pytest -m 'not slow'

lint: $(STAMP)  ## style, types and import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## frames a second of the shipped models, training samples a second
	$(BIN)/python tests/bench/derain_video.py
	$(BIN)/python tests/bench/rain_samples.py

clean:
	rm -rf .venv build dist demo *.egg-info
