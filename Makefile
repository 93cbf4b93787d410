# Two commands: `make demo` does the main job on drawn scenes, `make test` runs every test. Both need Python 3.11+, pip and make.
# `make demo PHOTOS=DIR QUERY="a dog on the grass"` searches photos of one's own with the run that comes with mmx.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
# Not compiled: of some 23,000 files a few thousand are ever imported, and these are compiled then.
PIP := --quiet --disable-pip-version-check --no-compile

.PHONY: demo test docs coverage bench soak lint clean

$(VENV)/.offline: pyproject.toml
	@echo "installing into $(VENV); some minutes, some gigabytes, most of them torch"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP) --editable ".[offline]"
	touch $@

$(VENV)/.installed: $(VENV)/.offline
	$(BIN)/python -m pip install $(PIP) --editable ".[offline,lora,serve,onnx,milvus,ray,docs,test]"
	touch $@

demo: $(VENV)/.offline
	MMX="$(BIN)/mmx" MMX_HOME="$(DEMO)" PHOTOS="$(PHOTOS)" QUERY="$(QUERY)" sh examples/quickstart.sh

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# Times beside other people's code, in one run, then the table of benchmarks/README.md; about 20 minutes of a quiet
# machine. `make bench BENCH="--only recall-1k"` for one row, `BENCH=--quick` to see that all of them run.
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(BENCH)

$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/python -m pip install $(PIP) --editable ".[offline,onnx,bench]"
	touch $@

# The pages of docs/ as a site in site/, which is read without a server (its search needs one:
# mkdocs serve); an unknown link, anchor or page is an error.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# What takes minutes: killed machines of Ray, many more deaths of trainings and extractions, a thousand damages an artefact.
soak: $(VENV)/.installed
	MMX_TEST_RAY=1 MMX_TEST_PIP=1 MMX_TEST_KILLS=20 MMX_MUTATIONS=1000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
	    tests/engine tests/faults tests/cli/test_plugins.py tests/workflows/test_training_killed.py \
	    tests/workflows/test_index_killed.py

# The same tests, and which lines of which file no test has run.
coverage: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term-missing:skip-covered

lint: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) site build *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage* .hypothesis
