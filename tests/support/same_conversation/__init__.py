"""One conversation as data, and each platform on which it can be held."""
