#!/bin/sh
# Migrate the database before the server starts; servers that start at the same time wait for one another.
set -e
if [ "$1" = gunicorn ]; then
    flask db upgrade
fi
exec "$@"
