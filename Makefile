# Two commands matter: `make demo` runs the main job, `make test` passes the tests.
# Each makes its own .venv; only Python 3.11+ and make are assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
RUN_DIR ?= omic-data
DEMO_DIR ?= demo-run

.PHONY: demo test lint up bench clean e2e pictures

demo: $(STAMP)
	$(BIN)/omic demo --dir $(DEMO_DIR) --json $(DEMO_DIR)/demo.json

test: $(DEV_STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --ignore tests/e2e
	$(BIN)/python -m pytest tests/e2e

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

up: $(STAMP)
	$(BIN)/omic up --dir $(RUN_DIR)

bench: $(DEV_STAMP)
	$(BIN)/python -m benchmarks

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): pyproject.toml constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable .
	$(BIN)/python -m compileall -q ledger compute marketplace
	@touch $@

$(DEV_STAMP): $(STAMP)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --group dev
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO_DIR) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The README's pictures anew; every page: python -m tests.marketplace.web.pictures --all DIR --keys
pictures: $(DEV_STAMP)
	$(BIN)/python -m tests.marketplace.web.pictures
