"""Changes of a user's data, for devices that follow."""
