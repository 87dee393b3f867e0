"""Embedders, one adapter a file."""
