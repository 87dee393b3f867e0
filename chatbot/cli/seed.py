"""`flask seed`: made-up data on which speed is measured."""

import click
from flask import current_app
from flask.cli import AppGroup

from chatbot.services.operations import seeding

from .outcome import bar, reporting_errors

group = AppGroup("seed", help="Make data up, to measure speed on it.")


@group.command("bench")
@click.option("--users", default=1_000, show_default=True, type=click.IntRange(4))
@click.option("--turns", default=2_000_000, show_default=True, type=click.IntRange(1_000))
@click.option("--passages", default=100_000, show_default=True, type=click.IntRange(0))
def bench(users: int, turns: int, passages: int) -> None:
    """Make users, turns over sixty days and passages with vectors; minutes for millions. Refused in production.

    bench-0@example.com has half of the turns and the passages, bench-1 a twentieth, bench-2 a hundred turns.
    """
    if current_app.config["APP_ENV"] == "production":
        raise click.ClickException("Made-up data is not for production.")
    with reporting_errors():
        ids = seeding.users(users)
        with bar("Turns", turns) as step:
            seeding.turns(ids, seeding.counts(users, turns), step)
        with bar("Passages", passages) as step:
            if passages:
                seeding.passages(ids[0], "bench", passages, step)
        seeding.settle()
    click.echo(f"Made {users} users, {turns} turns, {passages} passages; the password of each: {seeding.PASSWORD}")
