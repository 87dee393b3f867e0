"""What may leave in an answer."""
