"""Accounts, in and out."""
