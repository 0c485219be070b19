"""Tests of `render/worker`."""
