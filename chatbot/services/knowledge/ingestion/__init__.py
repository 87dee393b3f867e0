"""From an upload to searchable chunks."""
