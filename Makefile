# `make run` and `make test` install what is missing first.
.PHONY: help run test lint format docs schemas setup

help:
	@echo 'make run      run scenarios/dnat-10.yaml and leave a result below results/'
	@echo 'make test     run the tests'
	@echo 'make lint     run the linters and the type checker'
	@echo 'make format   format the code'
	@echo 'make docs     write the JSON Schemas and docs/strategies.md anew'

setup:
	@./tools/setup

run: setup
	@.venv/bin/harness run scenarios/dnat-10.yaml

test: setup
	@.venv/bin/python -m pytest

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

docs: schemas
	.venv/bin/harness list strategies --markdown > docs/strategies.md

schemas: setup
	.venv/bin/harness schema scenario > docs/scenario.schema.json
	.venv/bin/harness schema summary > docs/summary.schema.json
