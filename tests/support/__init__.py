"""Test doubles, harnesses and recorded data that the tests share."""
