"""Tests of `bot/conversation`."""
