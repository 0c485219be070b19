"""Tests of `render/queue`."""
