"""Tests of `bot/offline_llm`."""
