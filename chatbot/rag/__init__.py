"""Retrieval-augmented generation: a library inside the house. No Flask, no tables, no config object."""
