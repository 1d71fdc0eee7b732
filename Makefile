# The words of this project. `make` alone prints them.

PYTHON ?= python3
BIN := .venv/bin
# The rooms that decide: no socket, no clock; nearly every line and branch is tried by unit tests.
PURE := $(wildcard $(addprefix proxy/,settings call issuer identity limits policy http2 routing buildkit grpc))
# Extras stay in: pip takes `coverage==1` for no pin of `coverage[toml]`, and fails as soon as there is a newer one.
COMPILE := $(BIN)/uv --system-certs pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-strip-extras --custom-compile-command "make lock" --upgrade

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench docs lock clean

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r word what; \
	do printf '%-14s%s\n' "$$word" "$$what"; done

setup: .venv/.complete ## an environment of its own in .venv, exactly as locked

.venv/.complete: requirements-dev.lock pyproject.toml tools/setup
	@tools/setup $(PYTHON)
	@touch $@

demo: setup ## a real build through the door, until Ctrl-C; ONCE=1 ends after the builds
	@$(BIN)/kilngate demo $(if $(ONCE),--once)

test: setup ## everything, with stock buildx and a real BuildKit; TESTS="tests/unit -k word" for a part
	@$(BIN)/pytest $(TESTS)

check: setup ## format, lint, types, contracts, unit tests; the pure rooms covered
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/coverage run -m pytest -q tests/unit
	@$(BIN)/coverage report --fail-under=98 --include='$(subst $() ,$(comma),$(addsuffix /*,$(PURE)))'

bench: setup ## measure against nginx, HAProxy, Envoy and nghttpx; BENCH_QUICK=1 for three minutes
	@$(BIN)/python -m bench

docs: setup ## write what is generated again: pages on errors, settings, policy and metrics, the JSON Schema
	@$(BIN)/python tools/docs.py

lock: setup ## resolve the dependencies anew: what runs, what builds the wheel, what developers use
	@$(COMPILE) --all-extras -o requirements.lock pyproject.toml
	@$(COMPILE) --group build -o requirements-build.lock
	@$(COMPILE) --all-extras --group dev -c requirements.lock -c requirements-build.lock \
		-o requirements-dev.lock pyproject.toml

clean: ## remove what was built, fetched and started; .venv stays
	@rm -rf .kilngate .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist build
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

comma := ,
