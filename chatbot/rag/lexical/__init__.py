"""Lexical search."""
