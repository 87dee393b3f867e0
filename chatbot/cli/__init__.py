"""`flask` commands for operators."""

from flask import Flask

from . import backup, history, knowledge, seed, usage, users


def init_app(app: Flask) -> None:
    """Register every command."""
    app.cli.add_command(users.group)
    app.cli.add_command(backup.save)
    app.cli.add_command(backup.restore)
    app.cli.add_command(history.group)
    app.cli.add_command(knowledge.group)
    app.cli.add_command(seed.group)
    app.cli.add_command(usage.group)
