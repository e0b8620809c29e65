# Every target sets up what it needs: `make demo` or `make test` work on a fresh machine with python3 >= 3.11.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready

.PHONY: setup check test test-slow demo clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@

check: $(READY)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy .

test: $(READY)
	$(PY) -m pytest -q

test-slow: $(READY)
	$(PY) -m pytest -q -m "slow and not gpu"

demo: $(READY)
	$(PY) -m benchmarks.demo

clean:
	rm -rf $(VENV) build *.egg-info runs/demo data/tempo_shapes
