"""HTTP doors: each parses, calls one service and dumps."""

from flask import Flask

from ..extensions import api
from . import (
    admission,
    auth,
    chat,
    collections,
    completions,
    docs,
    documents,
    embeddings,
    exchange,
    health,
    history,
    invitations,
    limits,
    metrics,
    models,
    problems,
    search,
)

BLUEPRINTS = (
    auth.blueprint,
    chat.blueprint,
    history.blueprint,
    collections.blueprint,
    invitations.blueprint,
    documents.blueprint,
    search.blueprint,
    completions.blueprint,
    models.blueprint,
    embeddings.blueprint,
    health.blueprint,
    metrics.blueprint,
)


def init_app(app: Flask) -> None:
    """Register every door, and what all of them share."""
    exchange.init_app(app)
    admission.init_app(app)
    limits.init_app(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    problems.init_app(app)
    docs.init_app(app)
