"""Redis, and the processes that it connects: reached, new enough, and all with the same secrets."""

import hmac
from typing import Any

import structlog
from flask import Flask
from redis import BlockingConnectionPool, ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from chatbot.errors import CannotServe

TIMEOUT = 1.0  # seconds that Redis may take
CONNECTIONS = 32  # that wait for one another
MAX_FOLLOWERS = 4096  # of turns that other processes run; further ones look at the rows
MIN_REDIS_VERSION = (6, 2)  # version
MARK = "chatbot:secrets"
MARK_EXPIRY_SECONDS = 60  # seconds without a process, after which others may come with other secrets
AWAY = "Redis does not answer: limits are counted by each process, and answers of other processes come more slowly."

EXTENSION = "chatbot.cluster"

log = structlog.get_logger(__name__)


class Cluster:
    """The Redis that connects processes; each serves on without it."""

    def __init__(self, url: str, secrets: tuple[str, str]) -> None:
        once: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
        once |= {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
        pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=TIMEOUT, **once)
        self.redis = Redis(connection_pool=pool)
        # Each reader of a turn holds a connection, which must not be missing elsewhere.
        self.channels = ConnectionPool.from_url(url, max_connections=MAX_FOLLOWERS, **once)
        # Tells secrets apart, and nothing else of them.
        self._mark = hmac.digest("\n".join(secrets).encode(), b"chatbot secrets in use", "sha256").hex().encode()

    def require(self) -> None:
        """Check that Redis can be used, with our secrets; raises CannotServe with a remedy."""
        try:
            info: Any = self.redis.info("server")
            version = str(info["redis_version"])
            if tuple(map(int, version.split(".")[:2])) < MIN_REDIS_VERSION:
                raise CannotServe(
                    f"REDIS_URL: Redis {version} is too old; this needs {'.'.join(map(str, MIN_REDIS_VERSION))}."
                )
            is_first = self.redis.set(MARK, self._mark, nx=True, ex=MARK_EXPIRY_SECONDS)
            if not is_first and self.redis.get(MARK) not in {self._mark, None}:
                raise CannotServe(
                    "SECRET_KEY, JWT_SECRET_KEY: Other processes on this Redis have other secrets. Give all the same, "
                    f"or end the others and wait {MARK_EXPIRY_SECONDS} seconds."
                )
        except RedisError as error:
            raise CannotServe(f"REDIS_URL: Redis cannot be used: {error}") from error

    def keep_mark(self) -> None:
        """Renew the mark of the secrets in use; Redis may have lost it."""
        try:
            self.redis.set(MARK, self._mark, ex=MARK_EXPIRY_SECONDS)
        except RedisError as error:
            log.warning("Redis does not answer", detail=str(error))

    def state(self) -> str:
        """Return `ok`, or the degradation while Redis is away."""
        try:
            self.redis.ping()
        except RedisError:
            return AWAY
        return "ok"


def init_app(app: Flask) -> None:
    """Give the application its cluster, or None where no Redis is configured."""
    config = app.config
    secrets = config["SECRET_KEY"], config["JWT_SECRET_KEY"]
    app.extensions[EXTENSION] = Cluster(config["REDIS_URL"], secrets) if config["REDIS_URL"] else None


def get_cluster(app: Flask) -> Cluster | None:
    """Return the application's cluster, or None where no Redis is configured."""
    cluster: Cluster | None = app.extensions[EXTENSION]
    return cluster
