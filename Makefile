# Few verbs: make demo, test, lint, bench, docs, dist. Each sets up .venv by itself.
PYTHON ?= python3
# Processes that run tests; WORKERS=0 runs them in one, where a debugger and print() reach them.
WORKERS ?= 2
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-fast lint bench docs dist api clean soak fuzz schedules fleet

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev,detect,docs,web,ray,openvino]'
	touch $(STAMP)

demo: $(STAMP)  ## rain on a short clip, derain it, leave the results in demo/
	$(BIN)/rainclear demo --out demo --overwrite

test: lint  ## everything that CI runs
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-fast: $(STAMP)  ## the tests that take no more than a few seconds each
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow'

lint: $(STAMP)  ## style, types and import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# bench/table.md, quality-time.svg (two sizes of the family make a curve), growth.svg, bench.json.
bench: $(STAMP)  ## speed against PReNet and the machine's ceiling in bench/; CLEAN=VIDEO to rain on
	$(BIN)/python -m pip show --quiet openvino || $(BIN)/python -m pip install --quiet --editable '.[openvino]'
	$(BIN)/rainclear bench --model d-daiam-rt --model d-daiam-s --size 1280x720 \
		$(if $(CLEAN),--clean $(CLEAN)) --out bench --overwrite
	$(BIN)/python tests/bench/rain_samples.py

soak: $(STAMP)  ## 20,000 frames without a leak; ten jobs killed and run again
	$(BIN)/python tests/soak/soak.py
	$(BIN)/python tests/soak/kills.py --kills 10

fuzz: $(STAMP)  ## 2,000 damaged videos: no crash, no hang, clear errors
	$(BIN)/python tests/soak/fuzz.py

schedules: $(STAMP)  ## thousands of random schedules through the executor: failures, delays, Ctrl-C
	RAINCLEAR_SCHEDULES=3000 $(BIN)/python -m pytest tests/runtime/test_executor_schedules.py

fleet: $(STAMP)  ## a Ray cluster of two workers, one of them killed; then time with one and with two
	$(BIN)/python -m pytest tests/fleet
	$(BIN)/python tests/fleet/scaling.py

docs: $(STAMP)  ## the documentation in site/; a warning is an error
	test -x $(BIN)/zensical || $(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/zensical build --clean --strict

dist: $(STAMP)  ## wheel and sdist in dist/, the wheel tried out in an environment of its own
	rm -rf dist
	$(BIN)/python -m build
	RAINCLEAR_DIST=dist $(BIN)/python -m pytest tests/test_dist.py

api: $(STAMP)  ## record the public API after a change that is meant
	$(BIN)/python tests/test_public_api.py

clean:
	rm -rf .venv bench build dist demo site *.egg-info
