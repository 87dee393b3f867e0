"""Signals between the members of rooms, stored nowhere: presence and typing; ports and their adapters."""
