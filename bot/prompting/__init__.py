"""Builds the text that the chat model gets: system prompt, history and sanitized user text."""
