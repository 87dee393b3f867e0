"""Loaders of documents, one format a file, and the process that they run in."""
