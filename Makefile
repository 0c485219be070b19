.PHONY: install run test check lock benchmark
PYTHON ?= python3

install: .venv/installed

.venv/installed: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --disable-pip-version-check -r requirements.lock
	touch $@

run: install
	.venv/bin/python -m bot

test: install
	.venv/bin/python -m pytest

check: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

lock: install  # without the name of the build that pip took for torch, so that each machine takes its own
	.venv/bin/pip-compile --quiet --strip-extras --all-extras --no-allow-unsafe --no-emit-find-links --no-emit-index-url --output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock

benchmark: install
	.venv/bin/python -m benchmarks.turn
	.venv/bin/python -m benchmarks.tags
	.venv/bin/python -m benchmarks.queue
	.venv/bin/python -m benchmarks.batches
