"""Privacy: the export of all that is held about a user, and its erasure."""
