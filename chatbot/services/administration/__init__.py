"""Administration: accounts of others, and the audit log."""
