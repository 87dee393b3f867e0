"""What goes in and out of the doors: marshmallow only."""
