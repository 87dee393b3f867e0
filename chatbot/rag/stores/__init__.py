"""Vector stores, one adapter a file."""
