"""The demands of turns on budgets, and estimates before a message is sent."""
