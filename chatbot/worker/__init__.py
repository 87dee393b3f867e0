"""One gunicorn worker's life."""
