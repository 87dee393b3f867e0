"""The append-only text of running turns: the port, and its adapters in memory and in Redis."""
