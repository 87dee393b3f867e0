"""Scheduled work, by Flask-APScheduler inside each gunicorn worker."""

from datetime import UTC, datetime, timedelta

from flask import Flask, current_app

from chatbot.cluster import get_cluster
from chatbot.extensions import scheduler
from chatbot.services import periodic

from . import knowledge, purge, upkeep

LATE = {"misfire_grace_time": None, "coalesce": True}  # a worker that was stopped runs what it missed once, late
FIRST_LOOK = 5  # seconds after the start
MARK_INTERVAL_SECONDS = 15.0  # seconds; a fourth of the time in which others may come with other secrets
LOOK_INTERVAL_SECONDS = 600  # seconds between two looks whether the purge is due


def start(app: Flask) -> None:
    """Schedule all jobs and start; they run in greenlets of this process, each at most once at a time."""
    upkeep.start(app)
    knowledge.start(app)
    with app.app_context():
        cluster = get_cluster(current_app)
    if cluster is not None:
        periodic.every(app, MARK_INTERVAL_SECONDS, cluster.keep_mark)
    soon = datetime.now(UTC) + timedelta(seconds=FIRST_LOOK)  # restarts every few minutes skip nothing
    scheduler.add_job(
        "purge", purge.Purge(app).run, trigger="interval", seconds=LOOK_INTERVAL_SECONDS, next_run_time=soon, **LATE
    )
    scheduler.start()
