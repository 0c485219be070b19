"""Tests of `bot/parsing`."""
