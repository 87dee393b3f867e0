"""Turns: opening, generation, following, history."""
