"""Stores threads, messages, jobs, pictures, posts and settings in SQLite, and picture files in a folder."""
