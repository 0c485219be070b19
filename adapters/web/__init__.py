"""The web playground: a page, a JSON API, server-sent events."""
