# Everything runs in a virtual environment of its own; nothing else on the machine is touched.
#   make demo    replay real outcomes through the router and show what it saves
#   make test    run the tests
#   make check   lint, format and types
#   make bench   every figure of the spine, beside peers

PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: peers bench-gateway demo test check format bench clean

demo: $(BIN)/.installed
	$(BIN)/armwise demo

test: $(BIN)/.installed-dev
	$(BIN)/pytest

check: $(BIN)/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(BIN)/.installed-dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(BIN)/.installed-bench
	$(BIN)/python benchmarks/spine.py

# LiteLLM pins much of what others use: it gets an environment of its own.
peers: .venv-peers/.installed

bench-gateway: $(BIN)/.installed-bench .venv-peers/.installed
	$(BIN)/python benchmarks/gateway.py
	$(BIN)/python benchmarks/answer.py

.venv-peers/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --editable . 'litellm[proxy]'
	@touch $@

clean:
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "armwise needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

$(BIN)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(BIN)/.installed-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(BIN)/.installed

$(BIN)/.installed-bench: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@ $(BIN)/.installed
