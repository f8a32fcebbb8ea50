# Each installs what it needs and this machine lacks first.
.PHONY: help run suite reference test test-vagrant interpreters lint check format docs schemas site figures setup setup-all setup-vagrant

help:
	@echo 'make run      run scenarios/dnat-10.yaml and leave a result below results/'
	@echo 'make suite    run every scenario below scenarios/, and print one table'
	@echo 'make reference   measure results/reference/ anew (half an hour in which nothing else should run)'
	@echo 'make test     run the tests'
	@echo 'make test-vagrant   run the tests that bring up virtual machines (root, 15 minutes)'
	@echo 'make interpreters   run the unit tests and a scenario on each further Python of this machine'
	@echo 'make lint     run the linters and the type checker'
	@echo 'make check    run scenarios/dnat-10.yaml and compare it with its baseline'
	@echo 'make format   format the code'
	@echo 'make docs     write the JSON Schemas and docs/strategies.md anew'
	@echo 'make site     make the documentation a site in build/site'
	@echo 'make figures  write the answer in README.md anew, of results/reference'

setup:
	@./tools/setup

setup-all:
	@./tools/setup --all

setup-vagrant:
	@./tools/setup --vagrant

run: setup
	@.venv/bin/harness run scenarios/dnat-10.yaml

suite: setup-all
	@.venv/bin/harness suite scenarios

reference:
	@./tools/reference

test: setup-all
	@.venv/bin/python -m pytest

test-vagrant: setup-vagrant
	@timeout --kill-after=30 1200 .venv/bin/python -m pytest -m vagrant

interpreters: setup-all
	@./tools/interpreters

lint: setup-all
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

check: setup
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	.venv/bin/harness run scenarios/dnat-10.yaml --results "$$folder" --quiet && \
	.venv/bin/harness check "$$folder"/dnat-10-* --baseline results/baselines

format: setup-all
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

docs: schemas
	.venv/bin/harness list strategies --markdown > docs/strategies.md

site: setup-all
	@.venv/bin/mkdocs build --strict --quiet
	@echo build/site/index.html

figures: setup-all
	@.venv/bin/python tools/figures.py

schemas: setup-all
	.venv/bin/harness schema scenario > docs/scenario.schema.json
	.venv/bin/harness schema summary > docs/summary.schema.json
	.venv/bin/harness schema suite > docs/suite.schema.json
	.venv/bin/harness schema suite-summary > docs/suite-summary.schema.json
