"""The bot on each platform, against a server that keeps the contract of that platform."""
