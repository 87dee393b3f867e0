"""Collections, documents and their permissions."""
