"""Tests of `bot/prompting`."""
