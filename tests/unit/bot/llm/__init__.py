"""Tests of `bot/llm`."""
