"""The chat model client: requests, streamed answers, model profiles, token budget, provider errors, moderation."""
