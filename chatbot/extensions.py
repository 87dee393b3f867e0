"""Unbound Flask extension objects, nothing else; the database object is in `database.base`."""

from apscheduler.schedulers.gevent import GeventScheduler
from flask_apscheduler import APScheduler
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate

from chatbot.lazy_api import LazyApi
from chatbot.limit_storage import BoundedLimiter

migrate = Migrate()
jwt = JWTManager()
limiter = BoundedLimiter(key_func=get_remote_address)
cors = CORS()
api = LazyApi()
api.DEFAULT_ERROR_RESPONSE_NAME = None  # each route documents its problems itself
scheduler = APScheduler(GeventScheduler())
