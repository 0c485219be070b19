"""Tests of `render/builtin`."""
