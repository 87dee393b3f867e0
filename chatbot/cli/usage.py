"""`flask usage`: reports of the ledger."""

from datetime import datetime

import click
from flask.cli import AppGroup

from chatbot.services.analytics import usage_report
from chatbot.services.analytics.periods import BucketSize, build_period
from chatbot.services.analytics.usage_report import GROUPS, ReportQuery
from chatbot.services.usage.sums import Usage

from .outcome import reporting_errors

HEAD = ("start", "group", "turns", "failed", "cancelled", "prompt_tokens", "completion_tokens", "usd")
DAY = click.DateTime(["%Y-%m-%d"])

group = AppGroup("usage", help="Usage and its cost.")


@group.command("report")
@click.option("--from", "start", type=DAY, help="The first day; default: 30 days ago.")
@click.option("--to", "end", type=DAY, help="The day after the last one; default: now.")
@click.option("--by", type=click.Choice(sorted(GROUPS)), help="Group by this.")
@click.option("--bucket", type=click.Choice(["hour", "day", "week", "month"]), default="day", show_default=True)
@click.option("--tz", default="UTC", show_default=True, help="The time zone of the days.")
def report(start: datetime | None, end: datetime | None, by: str | None, bucket: BucketSize, tz: str) -> None:
    """Print the usage of all users as tab-separated lines, with a line of the total at the end."""
    with reporting_errors():
        found = usage_report.build(ReportQuery(build_period(start, end, tz), bucket, by))
    click.echo("\t".join(HEAD))
    for one in found.buckets:
        click.echo(_format(one.start.isoformat(), "" if one.group is None else str(one.group), one.usage))
    click.echo(_format("total", "", found.total))


def _format(start: str, value: str, usage: Usage) -> str:
    """Return the line of a bucket; dollars are empty where no model has a price."""
    sums = (usage.turns, usage.failed, usage.cancelled, usage.prompt_tokens, usage.completion_tokens)
    dollars = "" if usage.micro_usd is None else f"{usage.micro_usd / 1_000_000:.6f}"
    return "\t".join([start, value, *map(str, sums), dollars])
