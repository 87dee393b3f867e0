"""Whether the database has the schema that this version of the code was written for."""

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import Connection

from chatbot.errors import CannotServe, WrongSchema

from .transactions import read

MIN_POSTGRESQL_VERSION = (14,)


def revision(connection: Connection) -> str | None:
    """Return the revision that a database is at, None before the first."""
    return MigrationContext.configure(connection).get_current_revision()


def require_current() -> None:
    """Compare the database's revision with the newest migration.

    Raises WrongSchema with what to do, CannotServe for a server that is too old, DatabaseUnavailable.
    """
    script = ScriptDirectory(current_app.extensions["migrate"].directory)
    with read() as connection:
        version = connection.dialect.server_version_info or ()
        if connection.dialect.name == "postgresql" and version < MIN_POSTGRESQL_VERSION:
            old = ".".join(map(str, version))
            raise CannotServe(f"DATABASE_URL: PostgreSQL {old} is too old; this needs {MIN_POSTGRESQL_VERSION[0]}.")
        found = revision(connection)
    expected = script.get_current_head()
    if found == expected:
        return
    if found in {revision.revision for revision in script.walk_revisions()} or found is None:
        at = f"The database is at revision {found or 'none'}, the code at {expected}"
        raise WrongSchema(f"{at}: run `flask db upgrade`.")
    raise WrongSchema(f"The database is at revision {found}, which this code does not know: run a newer version.")
