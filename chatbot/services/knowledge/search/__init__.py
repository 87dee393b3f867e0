"""Hybrid search and the indexes that follow the database."""
