"""Slack: mention the bot in a channel, talk on in the thread."""
