"""Tests of `adapters`, on plain values."""
