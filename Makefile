PYTHON ?= python3
PARALLEL ?= -n auto --dist worksteal
.PHONY: install run test test-fast check openapi lock benchmark benchmark-gpu chaos ray-test

install: .venv/installed

.venv/installed: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --disable-pip-version-check -r requirements.lock
	touch $@

run: install
	.venv/bin/python -m bot

test: install
	.venv/bin/python -m pytest $(PARALLEL)

test-fast: install  # no process, no browser, no torch
	.venv/bin/python -m pytest $(PARALLEL) -m "not browser" tests/unit

check: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

openapi: install
	.venv/bin/python -m adapters.web.openapi > docs/openapi.json

LOCK = .venv/bin/pip-compile --quiet --strip-extras --no-allow-unsafe --no-emit-find-links --no-emit-index-url
lock: install  # the second file takes the versions of the first; neither has the build of torch that pip took here
	$(LOCK) --extra dev --extra render --output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock
	$(LOCK) --extra ray --constraint requirements.lock --output-file deploy/ray-requirements.txt pyproject.toml

benchmark: install
	.venv/bin/python -m benchmarks.startup
	.venv/bin/python -m benchmarks.turn
	.venv/bin/python -m benchmarks.tags
	.venv/bin/python -m benchmarks.queue
	.venv/bin/python -m benchmarks.batches
	.venv/bin/python -m benchmarks.overhead
	.venv/bin/python -m benchmarks.files
	.venv/bin/python -m benchmarks.consistency
	.venv/bin/python -m benchmarks.discord
	.venv/bin/python -m benchmarks.slack

benchmark-gpu: install  # on a machine with CUDA; needs no weights
	.venv/bin/python -m benchmarks.gpu

chaos: install  # the long form of a test in the suite
	JOBS=$${JOBS:-300} KILLS=$${KILLS:-60} .venv/bin/python -m pytest -s tests/e2e/test_chaos.py

ray-test: install  # Ray in a venv of its own; a head on loopback with two workers, which is gone afterwards
	test -d .venv-ray || $(PYTHON) -m venv .venv-ray
	.venv-ray/bin/pip install --disable-pip-version-check --quiet -r deploy/ray-requirements.txt
	.venv/bin/python -m pytest -s tests/e2e/ray
