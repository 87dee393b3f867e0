"""Unbound Flask extension objects, nothing else; the database object is in `database.base`."""

from apscheduler.schedulers.gevent import GeventScheduler
from flask import Flask
from flask_apscheduler import APScheduler
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate
from limits.strategies import MovingWindowRateLimiter

from chatbot.lazy_api import LazyApi
from chatbot.limit_storage import LeastRecentlyUsedStorage


class BoundedLimiter(Limiter):
    """Flask-Limiter whose memory is bounded, also while Redis is away."""

    def init_app(self, app: Flask) -> None:
        """Set an application up."""
        super().init_app(app)
        self._fallback_limiter = MovingWindowRateLimiter(LeastRecentlyUsedStorage())


migrate = Migrate()
jwt = JWTManager()
limiter = BoundedLimiter(key_func=get_remote_address)
cors = CORS()
api = LazyApi()
api.DEFAULT_ERROR_RESPONSE_NAME = None  # each route documents its problems itself
scheduler = APScheduler(GeventScheduler())
