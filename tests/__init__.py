"""Behaviour, told in sentences."""
