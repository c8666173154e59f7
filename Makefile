# make run: the application. make test: every check. PYTHON=… names another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install -qq --disable-pip-version-check

.PHONY: run test format bench chromium
.DEFAULT_GOAL := run

run: $(VENV)/run.stamp
	@exec $(BIN)/python manage.py serve

test: $(VENV)/test.stamp chromium
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@.ci/quietly $(BIN)/mypy .
	@.ci/quietly $(BIN)/lint-imports
	@.ci/quietly $(BIN)/python manage.py check
	@.ci/quietly $(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python -m pytest -n 2

format: $(VENV)/test.stamp
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

bench: $(VENV)/test.stamp
	@$(BIN)/python -m bench

$(BIN)/pip:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "$(PYTHON) is not there. Install Python 3.11 or newer, or name it: PYTHON=python3.12 make run"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1). Name a newer one: PYTHON=python3.12 make run"; exit 1; }
	@"$(PYTHON)" -m venv "$(VENV)"

$(VENV)/run.stamp: requirements.txt | $(BIN)/pip
	@echo "Installing into $(VENV) (only when requirements.txt has changed) …"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/test.stamp: requirements.txt requirements-dev.txt | $(BIN)/pip
	@echo "Installing what tests need into $(VENV) …"
	@$(PIP) -r requirements-dev.txt
	@touch $@ $(VENV)/run.stamp

chromium:
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing chromium for the browser tests …"; \
	    .ci/quietly apt-get update && .ci/quietly apt-get install -y --no-install-recommends chromium; \
	  else \
	    echo "The browser tests need Chromium: apt-get install chromium, or CHROMIUM=/path/to/chromium make test"; \
	    exit 1; \
	  fi; }
