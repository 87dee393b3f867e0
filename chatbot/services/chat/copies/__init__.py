"""Copies of conversations: forks, shares and exports."""
