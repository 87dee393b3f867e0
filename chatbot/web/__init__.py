"""HTTP plumbing that all entry points share."""
