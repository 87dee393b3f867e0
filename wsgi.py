"""The application that gunicorn and the `flask` command load."""

import os

from chatbot import create_app

os.umask(0o077)  # the database, its caches and backups are for their owner alone, whatever the mode of their folder
app = create_app()
