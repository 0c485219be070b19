"""Tests of one module at a time: no process, no browser. `make test-fast` runs them in under a minute."""
