"""HTTP doors: each parses, calls one service and dumps."""

from flask import Flask

from ..extensions import api
from . import auth, chat, completions, docs, exchange, health, history, limits, models, problems

BLUEPRINTS = (
    auth.blueprint,
    chat.blueprint,
    history.blueprint,
    completions.blueprint,
    models.blueprint,
    health.blueprint,
)


def init_app(app: Flask) -> None:
    """Register every door, and what all of them share."""
    exchange.init_app(app)
    limits.init_app(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    problems.init_app(app)
    docs.init_app(app)
