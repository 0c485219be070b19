"""Tests of `render/models`."""
