"""Ray Serve as an engine. Not part of the ordinary suite: `make ray-test`."""
