"""Chatbot API."""

import logging.config
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

import config

from . import api, cli, cluster, extension_config, openai_api, sockets, web
from .api import demo, home
from .api import openapi as api_document
from .api.accounts import page as account_page
from .api.console import page as console
from .database import state as database_state  # `database` is the package
from .database.base import db
from .extensions import api as smorest
from .extensions import cors, jwt, limiter, migrate, scheduler
from .observability import logging as logs
from .services.accounts import state as accounts
from .services.chat import state as chat
from .services.knowledge import state as knowledge
from .services.rooms import watch as rooms
from .services.rooms.bot import texts as bot
from .services.sync import watch as sync
from .web.application import Application
from .web.deadlines import BodyDeadlines
from .web.fair_starts import FairStarts
from .web.json_provider import NoSessions, OrjsonProvider
from .web.long_headers import WithoutLongLists


def create_app(settings: dict[str, Any] | None = None) -> Flask:
    """Make the application from settings, by default those of the environment."""
    settings = settings or config.load()
    logging.config.dictConfig(logs.settings(settings["LOG_LEVEL"]))
    app = Application(__name__, instance_path=settings["INSTANCE_PATH"], static_folder=None)
    app.config.from_mapping(settings | extension_config.settings(settings))
    app.json = OrjsonProvider(app)
    app.session_interface = NoSessions()
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    db.init_app(app)
    migrate.init_app(app, db, directory=str(config.ROOT / "migrations"), render_as_batch=True)
    jwt.init_app(app)
    limiter.init_app(app)
    cors.init_app(app)
    smorest.init_app(app)
    scheduler.init_app(app)
    cluster.init_app(app)
    database_state.init_app(app)
    accounts.init_app(app)
    knowledge.init_app(app)
    chat.init_app(app)
    sync.init_app(app)
    rooms.init_app(app)
    bot.init_app(app)
    web.init_app(app)
    for blueprint in (*api.BLUEPRINTS, *openai_api.BLUEPRINTS):
        smorest.register_blueprint(blueprint)
    api_document.init_app(app)
    home.init_app(app)
    demo.init_app(app)
    app.register_blueprint(account_page.blueprint)
    app.register_blueprint(console.blueprint)
    cli.init_app(app)
    sockets.init_app(app)
    app.wsgi_app = _with_middleware(app, settings)  # type: ignore[method-assign]  # the way that Flask documents
    return app


def _with_middleware(app: Flask, settings: dict[str, Any]) -> Callable[..., Iterable[bytes]]:
    """Return an application within its WSGI middleware, the outermost last."""
    proxies = settings["TRUSTED_PROXIES"]
    behind_proxies = ProxyFix(FairStarts(app.wsgi_app), x_for=proxies, x_proto=proxies, x_host=0)
    without_long_lists = WithoutLongLists(behind_proxies)
    return BodyDeadlines(without_long_lists, settings["BODY_READ_SECONDS"], settings["BODY_TOTAL_SECONDS"])
