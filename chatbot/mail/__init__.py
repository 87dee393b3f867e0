"""Mails: the port, its adapters, and the templates. Knows nothing of accounts."""
