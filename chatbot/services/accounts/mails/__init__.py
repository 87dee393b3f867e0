"""Mails to users, and the tokens in them."""
