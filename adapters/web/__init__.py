"""The web app: a page, a JSON API and server-sent events."""
