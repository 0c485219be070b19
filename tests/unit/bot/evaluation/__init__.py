"""Tests of `bot/evaluation`."""
