"""The application that gunicorn and the `flask` command load."""

import os
import sys

if __name__ == "__main__":
    print("This is no server: start it with `make run` or `gunicorn wsgi:app`.", file=sys.stderr)
    sys.exit(os.EX_USAGE)

from chatbot import create_app

os.umask(0o077)  # the database, its caches and backups are for their owner alone, whatever the mode of their folder
app = create_app()
