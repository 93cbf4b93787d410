# Two commands: `make demo` does the main job on drawn scenes, `make test` runs every test. Both need Python 3.11+, pip and make.
# `make demo PHOTOS=DIR QUERY="a dog on the grass"` searches photos of one's own with the run that comes with mmx.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test soak lint clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[offline,lora,serve,onnx,milvus,ray,test]"
	touch $@

demo: $(VENV)/.installed
	MMX="$(BIN)/mmx" MMX_HOME="$(DEMO)" PHOTOS="$(PHOTOS)" QUERY="$(QUERY)" sh examples/quickstart.sh

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# What takes minutes: killed machines of Ray, many more deaths of trainings and extractions, a thousand damages an artefact.
soak: $(VENV)/.installed
	MMX_TEST_RAY=1 MMX_TEST_PIP=1 MMX_TEST_KILLS=20 MMX_MUTATIONS=1000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
	    tests/engine tests/faults tests/cli/test_plugins.py tests/workflows/test_training_killed.py

lint: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .ruff_cache .hypothesis
