"""Full-text search over a user's own turns and titles."""
