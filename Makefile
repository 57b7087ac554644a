# Everything the project does with itself. The tools live in .venv, the pages' libraries in node_modules; both are made
# on first use and again when what they are made from changes. What only the tests read of npm is fetched for them alone.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
JOBS   ?= 3
ALONE  = $(shell grep -rlF --include=\*.py mark.alone tests)
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
VENDOR := dispatch/web/static/vendor
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

.DEFAULT_GOAL := help
.PHONY: help demo test check format soak bench lunch pages wheel upgrade clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: $(VENV)/.installed $(VENDOR)/.built ## Start everything on 127.0.0.1:8888 with simulated people (ARGS="--lan --port 8890 …")
	@$(BIN)/dispatch demo $(ARGS)

test: $(VENV)/.installed-dev node_modules/.with-dev ## Run every test, with coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not alone" --cov --cov-report= $(ARGS) || { [ $$? -eq 1 ] && \
	  echo "What failed beside other tests is tried once more by itself; what fails again has failed." && \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --cov --cov-append --cov-report= $(ARGS); }
	@$(BIN)/python -m pytest -m alone $(if $(ARGS),,$(ALONE)) --cov --cov-append --cov-report= $(ARGS) || [ $$? -eq 5 ]
	@$(BIN)/coverage report --fail-under=90
	@$(BIN)/coverage report --fail-under=97 --include='payments/*' > /dev/null || { echo "payments: branch coverage under 97 %"; exit 1; }
	@$(BIN)/coverage report --fail-under=97 --include='dispatch/model/*' > /dev/null || { echo "dispatch.model: branch coverage under 97 %"; exit 1; }

check: $(VENV)/.installed-dev ## Check format, lint, types and import contracts, then run every test
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

format: $(VENV)/.installed-dev ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

soak: $(VENV)/.installed-dev $(VENDOR)/.built ## Run the fault tests in their long form (ARGS="-k …")
	@SOAK=1 $(BIN)/python -m pytest tests/fault tests/property tests/e2e --timeout 3600 $(ARGS)

bench: $(VENV)/.installed-dev $(VENDOR)/.built ## Measure the hub beside its baselines and write reports/hub.json (ARGS="--rows idle --rounds 3 …")
	@$(BIN)/python -m loadtest.bench hub --json reports/hub.json --plot reports/hub.png $(ARGS)

lunch: $(VENV)/.installed-dev $(VENDOR)/.built ## Drive the lunch peak against a server of its own and write reports/lunch-peak.html
	@mkdir -p reports
	@$(BIN)/python -m loadtest lunch-peak --profile S --minutes 10 --time-scale 10 --html reports/lunch-peak.html $(ARGS)

pages: $(VENDOR)/.built ## Fetch the pages' libraries

wheel: $(VENV)/.installed-dev $(VENDOR)/.built ## Build dist/*.whl, pages included
	@rm -rf build dist
	@$(BIN)/python -m build --wheel

upgrade: ## Renew constraints.txt with the newest versions that setup.cfg allows, in a new environment
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip
	@$(PIP) install -e '.[dev]'
	@head -n 2 constraints.txt > constraints.new
	@$(PIP) freeze --all --exclude pip --exclude-editable >> constraints.new
	@mv constraints.new constraints.txt
	@touch $(VENV)/.installed $(VENV)/.installed-dev

clean: ## Remove what was built (not the data in var/)
	@rm -rf $(VENV) node_modules $(VENDOR) build dist *.egg-info htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg setup.py constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) …"
	@$(PIP) install --constraint constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the development tools into $(VENV) …"
	@$(PIP) install --constraint constraints.txt -e '.[dev]'
	@touch $@

$(VENDOR)/.built: package.json package-lock.json build_pages.py
	@$(NPM_CI) --omit=dev
	@$(PYTHON) build_pages.py
	@touch $@

# After the pages: each `npm ci` makes node_modules anew.
node_modules/.with-dev: $(VENDOR)/.built
	@$(NPM_CI)
	@touch $@
