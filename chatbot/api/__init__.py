"""HTTP doors: each parses, calls one service and dumps."""

from flask import Flask

from chatbot.extensions import api
from chatbot.openai_api import completions, embeddings, models
from chatbot.web import admission, problems, rate_limits, request_log

from . import auth, chat, collections, documents, health, history, invitations, metrics, openapi, search

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
    request_log.init_app(app)
    admission.init_app(app)
    rate_limits.init_app(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    problems.init_app(app)
    openapi.init_app(app)
