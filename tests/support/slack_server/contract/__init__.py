"""Checks of requests against Slack's published schemas."""
