"""Everything about talking to a database, and nothing about chat."""
