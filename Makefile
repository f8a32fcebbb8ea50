# Each target first installs what it needs and this machine lacks, and no more.
.PHONY: help run suite reference test test-all test-containers test-vagrant interpreters lint check format docs schemas \
	site figures trust setup setup-dev setup-suite setup-test setup-all setup-vagrant

# Two streams of tests at a time, whatever the machine has: a test may take a processor for itself.
TWO_STREAMS = -n 2 --dist worksteal
# More words for pytest, as in: make test OPTIONS='--durations=25 tests/load'
OPTIONS =

help:
	@echo 'target             what it does                                       it takes, and installs if missing'
	@echo 'make run           run scenarios/dnat-10.yaml, leave a result         1 min: iptables, nftables, Python packages'
	@echo 'make suite         run every scenario below scenarios/, one table     6 min: proxies, a name server'
	@echo 'make test          run the tests that need no engine and no browser   under 10 min: as suite, compiler, pytest'
	@echo 'make test-all      run all tests but those with virtual machines      25 min: Docker, Podman, skopeo, Chromium'
	@echo 'make test-vagrant  run the tests with virtual machines, as root       15 min: Vagrant, libvirt, QEMU'
	@echo 'make interpreters  try each Python from 3.11 on that is there         5 min: a virtual environment for each'
	@echo 'make lint          run the linters and the type checker               1 min: ruff, mypy'
	@echo 'make check         run dnat-10 and compare it with its baseline       1 min: as run'
	@echo 'make reference     measure results/reference/ anew, with no other load    30 min: as suite'
	@echo 'make format        format the code                                    seconds: as lint'
	@echo 'make docs          write the JSON Schemas and docs/strategies.md      seconds: as run'
	@echo 'make site          make the documentation a site in build/site        seconds: mkdocs'
	@echo 'make trust         harm 30 runs, write docs/trust.md of how they end      4 min: as test'
	@echo 'make figures       write the answer in README.md of results/reference seconds: as run'

setup:
	@./tools/setup

setup-dev:
	@./tools/setup --dev

setup-suite:
	@./tools/setup --suite

setup-test:
	@./tools/setup --test

setup-all:
	@./tools/setup --all

setup-vagrant:
	@./tools/setup --vagrant

run: setup
	@.venv/bin/harness run scenarios/dnat-10.yaml

suite: setup-suite
	@.venv/bin/harness suite scenarios

reference:
	@./tools/reference

test: setup-test
	@.venv/bin/python -m pytest -m 'unit or host' $(TWO_STREAMS) $(OPTIONS)

test-all: test test-containers

# What `make test` leaves out, but for virtual machines. One at a time: each starts an engine or a browser.
test-containers: setup-all
	@.venv/bin/python -m pytest -m 'containers or browser' $(OPTIONS)

test-vagrant: setup-vagrant
	@timeout --kill-after=30 1200 .venv/bin/python -m pytest -m vagrant $(OPTIONS)

interpreters: setup-test
	@./tools/interpreters

lint: setup-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

check: setup
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	.venv/bin/harness run scenarios/dnat-10.yaml --results "$$folder" --quiet && \
	.venv/bin/harness check "$$folder"/dnat-10-* --baseline results/baselines

format: setup-dev
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

docs: schemas
	.venv/bin/harness list strategies --markdown > docs/strategies.md

site: setup-dev
	@.venv/bin/mkdocs build --strict --quiet
	@echo build/site/index.html

figures: setup
	@.venv/bin/python tools/figures.py

trust: setup-test
	@.venv/bin/python -m pytest -q tests/end_to_end/test_sabotage.py
	@.venv/bin/python tools/trust.py

schemas: setup
	.venv/bin/harness schema scenario > docs/scenario.schema.json
	.venv/bin/harness schema summary > docs/summary.schema.json
	.venv/bin/harness schema suite > docs/suite.schema.json
	.venv/bin/harness schema suite-summary > docs/suite-summary.schema.json
