"""Tests of `render/images_api`."""
