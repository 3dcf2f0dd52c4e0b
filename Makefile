# `make demo` and `make test` do all the set-up that they need: Python >= 3.11, make and a network are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test fuzz lint types layers clean help

demo: $(STAMP)  ## set up, then rush under slow_calcom twice: as reviewed, and hardened
	$(BIN)/slotproof demo $(ARGS)

test: $(STAMP)  ## set up, then every test
	$(BIN)/python -m pytest $(ARGS)

FUZZ_HISTORIES ?= 100000

fuzz: $(STAMP)  ## 100,000 random histories through the exact checker and through a brute force
	SLOTPROOF_FUZZ_HISTORIES=$(FUZZ_HISTORIES) $(BIN)/python -m pytest tests/slotproof/checks/exact/test_differential.py $(ARGS)

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

layers: $(STAMP)  ## imports go down the layers only
	$(BIN)/lint-imports

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "slotproof needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $@

clean:  ## remove what set-up made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'
