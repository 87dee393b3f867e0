"""Formulas of pages and of Word documents as text on one line."""
