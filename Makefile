# make run: the application. make cluster: the same on PostgreSQL and Redis, as many processes.
# make test: every check, and all tests but the slow ones. make test ONLY=tests/inbox: all tests of a
# folder, in both forms. make test-all: everything. PYTHON=… names another interpreter.
# CONTRIBUTING.md has a table of what runs where.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Of those that `make bench` compares with.
PEERS ?= .venv-peers
# Of configurations of the NeMo Agent Toolkit, which needs some ninety packages. Its test package
# would have all tests run in an event loop that it patches.
NAT ?= .venv-nat
TEST_NAT := pytest -p no:nvidia-nat-test tests/nat
# The packages of the tests: the newest Django on the newest Python that this machine has, and the
# lowest versions that the wheel takes on the lowest Python. A machine with one Python has that one.
NEWEST ?= .venv-newest
LOWEST ?= .venv-lowest
first_of = $(shell PATH=$(2)$$PATH; for version in $(1); do \
  for python in python$$version "$$(PYENV_VERSION=$$version pyenv which python 2>/dev/null)"; do \
  "$$python" -c "" 2>/dev/null && command -v "$$python" && exit; done; done)
# The command python3.12 of pyenv fails where no such version is selected.
override PYTHON := $(or $(call first_of,$(patsubst python%,%,$(PYTHON))),$(PYTHON))
# A distribution compiles its own with optimization, pyenv does not.
LOWEST_PYTHON ?= $(or $(call first_of,3.11 3.12 3.13 3.14,/usr/bin:),$(PYTHON))
NEWEST_PYTHON ?= $(or $(call first_of,3.14 3.13 3.12 3.11,/usr/bin:),$(PYTHON))
# The two forms of each change. Each has one value of each axis; `make test-all` has the other pairs.
LOCAL := $(NEWEST)/bin/python -m
CLUSTER := env WEB_SERVER=uvicorn $(LOWEST)/bin/python -m tests.services
EACH_CHANGE := not other_form and not beyond
FAST := -m "not slow and $(EACH_CHANGE)"
# The core, and how a socket shows it. Some of the examples are agents.
CORE := $(filter-out tests/runtime/examples/,$(dir $(wildcard tests/runtime/*/__init__.py))) \
  tests/wire/socket $(wildcard tests/wire/test_*.py)
# Tests that wait for servers: more than there are processors only wait for each other. The slow ones
# of the local form wait for clocks too, and outlast those of the cluster: one more.
SIDE_BY_SIDE = -n $(or $(PROCESSES),logical) --maxprocesses 4 --dist worksteal
slow-local: PROCESSES = 3
# What one process has compiled the next need not, where the environment says otherwise too.
unexport PYTHONDONTWRITEBYTECODE
# The files have all packages, so nothing is left to resolve; pip 23.2 fails at it where a package
# asks for extras of another and there are hashes.
LOCKED := install -qq --disable-pip-version-check --no-deps
PIP := $(BIN)/pip $(LOCKED)
# It installs what tests need fifteen times as fast as pip. The package that it brings itself comes by pip.
export UV_HTTP_TIMEOUT ?= 180
UV := $(BIN)/uv --quiet
UV_INSTALL := $(UV) pip install --python
# For the lowest Python that may install it, and all above.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --annotation-style line
EXAMPLE := --extra cluster --extra daphne --extra openai

.PHONY: run cluster test suite-local suite-cluster slow slow-local slow-cluster beyond checks second-try test-all other-form local-lowest local-uvicorn cluster-newest test-nat test-debian chaos-short dev lock format messages planted mutants coverage bench bench-quick cost chaos soak fuzz screenshots picture release-check release-databases programs debian-programs
.DEFAULT_GOAL := run

run: $(VENV)/run.stamp
	@$(BIN)/python manage.py collect_changed --noinput
	@exec $(BIN)/python manage.py serve

cluster: $(VENV)/cluster.stamp
	@exec $(BIN)/python manage.py cluster

test:
	@$(MAKE) --no-print-directory --jobs 3 suite-local suite-cluster $(if $(ONLY),,checks)

suite-local slow-local beyond other-form local-uvicorn cluster-newest: $(NEWEST)/test.stamp programs
suite-cluster slow-cluster beyond other-form local-lowest: $(LOWEST)/test.stamp programs
checks chaos-short: $(VENV)/test.stamp

$(if $(and $(ONLY),$(if $(wildcard $(firstword $(subst ::, ,$(ONLY)))),,none)),$(error There is no $(ONLY)))
TESTS = $(or $(ONLY),$(FAST))
slow-local slow-cluster: TESTS = -m "slow and $(EACH_CHANGE)"
other-form: TESTS = -m "other_form and not beyond"
beyond: TESTS = -m beyond
# Each suite remembers its failed tests in a folder of its own.
PYTEST = pytest $(SIDE_BY_SIDE) -o cache_dir=.pytest_cache/$@ $(TESTS)
# One of the forms may have none of those that ONLY names. `.ci/run` goes on to the second try, if
# pytest has named the tests that failed: whatever else ends with 1 fails at once.
GO_ON = $(if $(ONLY),|| [ $$? = 5 ])$(if $(SECOND_TRY),|| { [ $$? = 1 ] && [ -s .pytest_cache/$@/v/cache/lastfailed ]; })

# The one that shows how far it is.
suite-local slow-local:
	@$(LOCAL) $(PYTEST) $(GO_ON)

suite-cluster slow-cluster:
	@.ci/quietly --last $(CLUSTER) $(PYTEST) $(GO_ON)

# Those that `make test` leaves out, of both forms.
slow:
	@$(MAKE) --no-print-directory --jobs 2 slow-local slow-cluster

# Those whose guarantee a change goes without, each says it; and those that it runs in one form only.
beyond other-form:
	@.ci/quietly --last $(LOCAL) $(PYTEST)
	@.ci/quietly --last $(CLUSTER) $(PYTEST)

# The tests that failed in the suites of `.ci/run`.
second-try:
	@$(BIN)/python -m tests.second_try local="$(LOCAL) pytest" cluster="$(CLUSTER) pytest"

checks:
	@$(BIN)/python -m tests.requirements
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@.ci/quietly $(BIN)/djangofmt check .
	@.ci/quietly $(BIN)/djangofmt --check .
	@.ci/quietly $(BIN)/oxlint .
	@.ci/quietly $(BIN)/oxfmt --check '**/*.js'
	@.ci/quietly $(BIN)/mypy .
	@.ci/quietly $(BIN)/lint-imports
	@.ci/quietly $(BIN)/python manage.py check
	@.ci/quietly $(BIN)/python manage.py makemigrations --check --dry-run

# What is beyond a change: ci.yml runs these side by side, at each push and each night.
test-all:
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory --jobs 1 $(BEYOND)
BEYOND := slow-local slow-cluster beyond other-form local-lowest local-uvicorn cluster-newest test-debian test-nat release-check chaos-short

# The pairs of a form, a web server and versions that no change runs. The runtime and the socket have
# none of the optional applications in the first.
local-lowest:
	@CORE_ONLY=1 .ci/quietly --last $(LOWEST)/bin/python -m $(PYTEST) $(CORE)
	@.ci/quietly --last $(LOWEST)/bin/python -m $(PYTEST) $(CORE:%=--ignore=%)

local-uvicorn:
	@WEB_SERVER=uvicorn .ci/quietly --last $(LOCAL) $(PYTEST)

cluster-newest:
	@.ci/quietly --last $(LOCAL) tests.services $(PYTEST)

test-nat: $(NAT)/test.stamp
	@.ci/quietly --last $(NAT)/bin/python -m $(TEST_NAT)/test_*.py
	@.ci/quietly --last $(NAT)/bin/python -m tests.services $(TEST_NAT)/test_killed.py -m "not beyond"

# A minute and a half in each form.
chaos-short:
	@.ci/quietly --last $(BIN)/python -m tests.chaos.chaos --seed 1 --minutes 1.5

# What tests and the example agents need.
dev: $(VENV)/test.stamp

# After a change of what pyproject.toml needs. The first is the lock, of which the next two are
# parts. Newer versions: make lock ARGS=--upgrade, or ARGS="--upgrade-package django"
lock: $(VENV)/test.stamp
	@$(LOCK) pyproject.toml $(EXAMPLE) --extra oauth --extra mcp --extra pydantic-ai --extra langgraph --extra test --group dev --group release -o requirements-dev.txt $(ARGS)
	@$(LOCK) pyproject.toml $(EXAMPLE) --group example -c requirements-dev.txt -o requirements.txt
	@$(LOCK) --group servers -c requirements-dev.txt -o natproject/cluster/requirements.txt
	@$(LOCK) pyproject.toml --extra cluster --extra daphne --extra nat --extra test --group nat -o tests/nat/requirements.txt $(ARGS)

format: $(VENV)/test.stamp
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .
	@.ci/quietly $(BIN)/djangofmt check --fix .
	@.ci/quietly $(BIN)/djangofmt .
	@.ci/quietly $(BIN)/oxlint --fix .
	@.ci/quietly $(BIN)/oxfmt '**/*.js'

# New words go into the catalogs of the languages, and these are compiled: see tests/messages.py.
messages: $(VENV)/test.stamp
	@$(BIN)/python -m tests.messages

# Rules that must always hold, each broken by a planted bug: make planted ARGS="--only vote"
planted: $(VENV)/test.stamp
	@$(BIN)/python -m tests.planted $(ARGS)

# Small changes of critical code that no test finds: make mutants ARGS="'sessions_app.interactions.votes*'"
mutants: $(VENV)/test.stamp
	@$(BIN)/python -m tests.mutants $(ARGS)

# Which lines and branches no test comes to, in either form.
coverage: $(VENV)/test.stamp programs
	@mkdir -p var/coverage && $(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(SIDE_BY_SIDE)
	@$(BIN)/coverage run -m tests.services pytest $(SIDE_BY_SIDE)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

# All that bench/RESULTS.md has, and into it; the quick one prints some of the table.
bench: $(VENV)/test.stamp $(PEERS)/peers.stamp
	@PEERS=$(PEERS) $(BIN)/python -m bench --all --seconds 3

bench-quick: $(VENV)/test.stamp $(PEERS)/peers.stamp
	@PEERS=$(PEERS) $(BIN)/python -m bench $(ARGS)

# What a message, a prompt, a step and a streamed piece cost: make cost BESIDE=main, and make cost
# ARGS=--write, which writes the figures that the test compares with.
cost: $(NEWEST)/test.stamp $(LOWEST)/test.stamp
	@$(LOCAL) tests.cost $(BESIDE:%=--beside %) $(ARGS)
	@$(CLUSTER) tests.cost $(BESIDE:%=--beside %) $(ARGS)

# Everything goes wrong, three minutes in the cluster and three in one process:
# make chaos ARGS="--form local --seed 7 --minutes 1 --users 20"
chaos: $(VENV)/test.stamp
	@$(BIN)/python -m tests.chaos.chaos $(ARGS)

# Ten minutes of hostile input that nobody has thought of: make fuzz ARGS="--minutes 1 --seed 7"
fuzz: $(VENV)/test.stamp
	@$(BIN)/python -m tests.hostile.fuzz $(ARGS)

# Every state of the pages, in several sizes and both themes, into screenshots/, for people to look at.
screenshots: $(VENV)/test.stamp programs
	@$(BIN)/python -m pytest -n 2 tests/browser/screenshots.py tests/contrib/*/screenshots.py

# The picture of the README: a question is open, its process is killed and started again.
picture: $(VENV)/test.stamp programs
	@$(BIN)/python -m pytest -q tests/browser/picture.py

# Before a release: the wheel and the source distribution, each in an empty project with the lowest
# Django and the newest, a question asked and answered.
release-check: $(VENV)/test.stamp programs
	@LOWEST_PYTHON="$(LOWEST_PYTHON)" NEWEST_PYTHON="$(NEWEST_PYTHON)" .ci/quietly --last $(BIN)/python -m pytest tests/released/release_check.py

# The databases of a version, with runs that wait, on which the migrations of later ones are tried.
release-databases: $(VENV)/test.stamp
	@$(BIN)/python -m pytest tests/released/record.py
	@$(BIN)/python -m tests.services pytest tests/released/record.py

# Half an hour in each form in which nothing may grow: make soak ARGS="--form local --minutes 10"
soak: $(VENV)/test.stamp
	@$(BIN)/python -m tests.chaos.soak $(ARGS)

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

$(VENV)/cluster.stamp: requirements.txt natproject/cluster/requirements.txt | $(BIN)/pip
	@echo "Installing into $(VENV), with PostgreSQL and Redis (only when requirements have changed) …"
	@$(PIP) $(^:%=-r %)
	@touch $@ $(VENV)/run.stamp

$(BIN)/uv: requirements-dev.txt | $(BIN)/pip
	@$(BIN)/pip $(LOCKED) $$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' $<)
	@touch $@

$(VENV)/test.stamp: requirements-dev.txt $(BIN)/uv
	@echo "Installing what tests need into $(VENV) …"
	@$(UV_INSTALL) $(BIN)/python --no-deps -r $<
	@touch $@ $(VENV)/run.stamp $(VENV)/cluster.stamp

# The locked packages, and in the place of some the newest or the lowest versions.
$(NEWEST)/test.stamp: CHOSEN = newest
$(NEWEST)/test.stamp: CHOSEN_PYTHON = $(NEWEST_PYTHON)
$(LOWEST)/test.stamp: CHOSEN = lowest
$(LOWEST)/test.stamp: CHOSEN_PYTHON = $(LOWEST_PYTHON)
$(LOWEST)/test.stamp $(NEWEST)/test.stamp: %/test.stamp: requirements-dev.txt pyproject.toml tests/versions.py $(BIN)/uv
	@echo "Installing what tests need into $*, with $$("$(CHOSEN_PYTHON)" -V) …"
	@$(UV) venv --seed --clear --python "$(CHOSEN_PYTHON)" "$*"
	@$(UV_INSTALL) $*/bin/python --no-deps -r $<
	@$(BIN)/python -m tests.versions $(CHOSEN) | $(UV_INSTALL) $*/bin/python --upgrade-package django -r -
	@touch $@

$(NAT)/test.stamp: tests/nat/requirements.txt
	@echo "Installing the NeMo Agent Toolkit into $(NAT) …"
	@"$(PYTHON)" -m venv "$(NAT)"
	@$(NAT)/bin/pip $(LOCKED) -r $<
	@touch $@

$(PEERS)/peers.stamp: bench/requirements-peers.txt
	@echo "Installing what is compared with into $(PEERS) …"
	@"$(PYTHON)" -m venv "$(PEERS)"
	@$(PEERS)/bin/pip install -qq --disable-pip-version-check -r $<
	@touch $@

# Programs that pip does not install. Debian's nginx begins to serve when it is installed: RUNLEVEL=1
# prevents that in a container, and systemctl ends it where systemd runs.
programs:
	@missing=; PATH="$$PATH:/usr/sbin"; \
	command -v "$${CHROMIUM:-chromium}" >/dev/null || missing="chromium"; \
	command -v "$${FIREFOX:-firefox-esr}" >/dev/null || missing="$$missing firefox-esr"; \
	command -v "$${NGINX:-nginx}" >/dev/null || missing="$$missing nginx"; \
	[ -z "$$missing" ] || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing for the tests:" $$missing "…"; \
	    .ci/quietly apt-get update && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 .ci/quietly apt-get install -y --no-install-recommends $$missing && \
	    case "$$missing" in *nginx*) [ ! -d /run/systemd/system ] || systemctl --quiet disable --now nginx;; esac; \
	  else \
	    echo "Tests need what is not here: apt-get install" $$missing; \
	    echo "Or name it: CHROMIUM=/path/to/chromium FIREFOX=/path/to/firefox NGINX=/path/to/nginx make test"; \
	    exit 1; \
	  fi; }

# The fast tests of the cluster's form, with the PostgreSQL and the Redis that people run. Those of the
# wheels are a newer PostgreSQL, and a Redis whose support has ended.
POSTGRESQL_BIN ?= $(patsubst %/initdb,%,$(lastword $(shell ls -v /usr/lib/postgresql/*/bin/initdb 2>/dev/null)))
REDIS_SERVER ?= redis-server

test-debian: $(LOWEST)/test.stamp debian-programs
	@POSTGRESQL_BIN="$(POSTGRESQL_BIN)" REDIS_SERVER="$(REDIS_SERVER)" .ci/quietly --last $(CLUSTER) $(PYTEST)

# Their packages start servers when they are installed: prevented as for nginx, see `programs`, which comes
# first: there is one apt-get at a time.
debian-programs: programs
	@missing=; \
	[ -n "$(POSTGRESQL_BIN)" ] || missing="postgresql"; \
	command -v "$(REDIS_SERVER)" >/dev/null || missing="$$missing redis-server"; \
	[ -z "$$missing" ] || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing for the tests:" $$missing "…"; \
	    .ci/quietly apt-get update && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 .ci/quietly apt-get install -y --no-install-recommends $$missing && \
	    { [ ! -d /run/systemd/system ] || systemctl --quiet disable --now $$missing; }; \
	  else \
	    echo "Tests need what is not here: apt-get install" $$missing; \
	    echo "Or name it: POSTGRESQL_BIN=/path/to/postgresql/bin REDIS_SERVER=/path/to/redis-server make test-debian"; \
	    exit 1; \
	  fi; }
