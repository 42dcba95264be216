# Two commands matter: `make demo` runs the main job, `make test` passes the tests. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One BLAS thread a process: idle threads that spin cost far more than a second one gains on small matrices.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check bare clean

demo: $(VENV)/.installed
	$(BIN)/hardsight demo --out demo-results

test: $(VENV)/.dev chromium
	$(MAKE) check
	$(BIN)/pytest -q

check: $(VENV)/.dev
	$(BIN)/ruff format --check hardsight tests benchmarks
	$(BIN)/ruff check hardsight tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/mypy

bare:
	PYTHON=$(PYTHON) bash scripts/bare_install.sh

$(VENV)/.venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.venv pyproject.toml requirements/torch.txt
	$(BIN)/python -m pip install -q -r requirements/torch.txt
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed requirements/dev.txt
	$(BIN)/python -m pip install -q -r requirements/dev.txt
	touch $@

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { \
	  echo "the report is tested in a real browser; installing Debian's chromium"; \
	  $$([ "$$(id -u)" = 0 ] || echo sudo) sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >/dev/null'; }

clean:
	rm -rf $(VENV) demo-results hardsight-results build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
