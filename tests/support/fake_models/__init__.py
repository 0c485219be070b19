"""Image models of one colour that a test controls."""
