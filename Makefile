# Two commands matter: `make demo` runs the main job, `make test` passes the tests. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Test processes. One test file never runs in two of them.
WORKERS ?= 2
TYPED := --jaxtyping-packages="hardsight,beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
# One BLAS thread per process: idle threads that spin cost far more than a second one gains on small matrices.
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test quick matrix typed gpu check docs docs-check bare dist faults fuzz test-oldest test-python clean
.DEFAULT_GOAL := help

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Measure a data set with some wrong labels, and write its report to demo-results/
	$(BIN)/hardsight demo --out demo-results
	@command -v hardsight > /dev/null || echo 'First put hardsight on your path: . $(BIN)/activate'

test: $(VENV)/.dev chromium ## Check the code and run all tests
	$(MAKE) check
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

quick: $(VENV)/.dev ## Run the fast tests only: under 2 minutes on two cores, no browser
	$(BIN)/ruff check -q hardsight tests benchmarks website docs/conf.py
	$(BIN)/pytest -q -n $(WORKERS) -m "not slow"

matrix: $(VENV)/.dev ## Train every combination of loop, ranks, micro-batches, weights and restart; write docs/training-matrix.md
	PYTHONPATH=tests $(BIN)/python -m training_matrix.table

# Shapes and types of annotations are checked in each call, which takes several times as long.
typed: $(VENV)/.dev ## Run the tests of numerical code with annotations checked at run time
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile $(TYPED) tests/attribution tests/estimation tests/laws tests/learners tests/measures \
	  tests/weights

gpu: $(VENV)/.dev ## Run the tests and timings for a GPU in under ten minutes; write benchmarks/gpu.md
	PYTHONPATH=tests:benchmarks $(BIN)/python benchmarks/gpu.py

check: $(VENV)/.dev ## Check format, lint, import order and types
	$(BIN)/ruff format --check hardsight tests benchmarks website docs/conf.py
	$(BIN)/ruff check hardsight tests benchmarks website docs/conf.py
	$(BIN)/lint-imports
	$(BIN)/mypy

# Opens with site/index.html. The root is the source, so that links are those of the repository; a warning is an error.
docs: $(VENV)/.docs ## Build the documentation and follow every link
	rm -rf site
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs -d build/doctrees . site
	$(BIN)/python -m website.links site

docs-check: docs $(VENV)/.dev chromium ## Build the documentation and open its pages in a browser
	$(BIN)/python -m website.browser site

bare: ## Install the package alone, without extras, and use it
	PYTHON=$(PYTHON) bash scripts/bare_install.sh

dist: $(VENV)/.venv requirements/release.txt ## Build the wheel and the source archive, reproducibly
	$(BIN)/python -m pip install -q -r requirements/release.txt
	PYTHON=$(CURDIR)/$(BIN)/python bash scripts/dist.sh

# Kills each command 50 times, fills disks, and so on; the ordinary tests do the same a few times. Prints the counts.
faults: $(VENV)/.dev ## Kill each command 50 times, fill disks, and count what was left behind
	HARDSIGHT_KILLS=50 $(BIN)/python -m pytest -v -p no:cacheprovider tests/faults/test_disk_faults.py tests/faults/test_kills.py \
	  tests/faults/test_concurrent_processes.py tests/faults/test_locales_and_names.py

fuzz: $(VENV)/.dev ## Feed ten thousand hostile inputs to every reader; FUZZ="csv npz --inputs 500 --seed 1" for some
	PYTHONPATH=tests $(BIN)/python -m fuzz $(FUZZ)

# Tests of what everyone uses, for versions of Python and of dependencies that CI does not have. They need no browser.
CORE := difficulty/result cli/doctor io/atomic measures/bias_variance attribution/ledger resampling/splitters \
  attribution/label_noise data/from_memory data/from_files data/frames data/labels data/text_and_images \
  weights/weigh weights/training/weighting learners/sklearn_learner learners/logistic learners/mlp \
  reporting/plot cli/commands measures/record cli/summary io/memmap
CORE_TESTS := $(foreach name,$(CORE),tests/$(dir $(name))test_$(notdir $(name)).py)
# Networks with weights of their own are extras.
LEFT_OUT := not real_network and not real_sentence
# The type checks of tests need a newer jaxtyping than the package.
PLAIN := -o addopts=--strict-markers -p no:cacheprovider

test-oldest: ## Run the core tests with the oldest allowed versions of all dependencies
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install -q -c requirements/oldest.txt torch
	.venv-oldest/bin/python -m pip install -q -c requirements/oldest.txt -e '.[fast,boosting,skorch]' -r requirements/tests.txt datasets
	.venv-oldest/bin/hardsight doctor
	.venv-oldest/bin/python -m pytest -q $(PLAIN) -W default $(CORE_TESTS) -k '$(LEFT_OUT)'

test-python: ## Run the core tests with another Python: make test-python PYTHON=python3.13
	$(PYTHON) -m venv .venv-python
	.venv-python/bin/python -m pip install -q -r requirements/torch.txt
	.venv-python/bin/python -m pip install -q -e '.[fast,boosting,skorch]' -r requirements/tests.txt datasets
	.venv-python/bin/hardsight doctor
	.venv-python/bin/python -m pytest -q -p no:cacheprovider $(CORE_TESTS) -k '$(LEFT_OUT)'

$(VENV)/.venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.venv pyproject.toml benchmarks/pyproject.toml requirements/torch.txt
	$(BIN)/python -m pip install -q -r requirements/torch.txt
	$(BIN)/python -m pip install -q -e . -e ./benchmarks
	touch $@

$(VENV)/.docs: $(VENV)/.installed requirements/docs.txt
	$(BIN)/python -m pip install -q -r requirements/docs.txt
	touch $@

$(VENV)/.dev: $(VENV)/.installed requirements/dev.txt requirements/tests.txt requirements/docs.txt scripts/repair_torchvision.py
	$(BIN)/python -m pip install -q -r requirements/dev.txt
	$(BIN)/python scripts/repair_torchvision.py
	touch $@

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { \
	  echo "the report is tested in a real browser; installing Debian's chromium"; \
	  $$([ "$$(id -u)" = 0 ] || echo sudo) sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >/dev/null'; }

clean: ## Delete everything that make has made
	rm -rf $(VENV) .venv-oldest .venv-python demo-results hardsight-results build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
