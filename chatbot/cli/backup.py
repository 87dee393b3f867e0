"""`flask backup FILE` and `flask restore FILE`: the whole state in one file, from and to either database."""

from pathlib import Path

import click
from flask.cli import with_appcontext

from chatbot.services.operations import backup

from .outcome import bar, reporting_errors

FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.command("backup")
@FILE
@with_appcontext
def save(file: Path) -> None:
    """Write everything into a new FILE, while the servers go on; keep SECRET_KEY and JWT_SECRET_KEY beside it."""
    with reporting_errors(), bar("Saving", backup.count()) as step:
        rows = backup.save(file, step)
    click.echo(f"Saved {rows} rows into {file}.")


@click.command("restore")
@FILE
@click.option("--other-secrets", is_flag=True, help="Although SECRET_KEY is another one: no password will do.")
@with_appcontext
def restore(file: Path, *, other_secrets: bool) -> None:
    """Read a backup into a new database (SQLite or PostgreSQL), whole or not at all."""
    with reporting_errors(), bar("Restoring", backup.rows_of(file)) as step:
        rows = backup.restore(file, step, other_secrets=other_secrets)
    click.echo(f"Restored {rows} rows from {file}.")
