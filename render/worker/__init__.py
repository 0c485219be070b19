"""The render worker: HTTP server and client, device process, result cache, and the Ray application."""
