"""`flask history`: the stored conversations."""

import sys
from datetime import timedelta

import click
from flask import current_app
from flask.cli import AppGroup

from chatbot.services.operations import retention

from .outcome import reporting_errors, watched

group = AppGroup("history", help="What is kept of the conversations.")


@group.command("purge")
@click.option("--days", type=click.IntRange(min=1, max=36_500), help="Age in days; default: RETENTION_DAYS.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--force", is_flag=True, help="Even though the clock jumped.")
def purge(days: int | None, dry_run: bool, force: bool) -> None:
    """Delete turns that are older than the retention period."""
    days = days or current_app.config["RETENTION_DAYS"]
    older_than = timedelta(days=days)
    with reporting_errors():
        total = retention.count(older_than)
        if dry_run:
            click.echo(f"Would delete {total} turns older than {days} days.")
            return
        with click.progressbar(length=total, label="Purging", hidden=not watched(), file=sys.stderr) as bar:
            purged = retention.purge(older_than, force=force, on_batch=bar.update)
    click.echo(f"Deleted {purged.turns} turns and {purged.conversations} conversations older than {days} days.")
