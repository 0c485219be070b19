"""The Slack platform: listeners, event handlers, payloads and surfaces."""
