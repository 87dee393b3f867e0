"""Accounts, sessions, tokens and passwords."""
