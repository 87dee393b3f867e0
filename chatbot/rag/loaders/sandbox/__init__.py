"""The process in which loaders read files."""
