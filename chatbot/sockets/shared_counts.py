"""The number of each user's WebSockets in all processes, kept in Redis."""

from collections.abc import Iterable
from uuid import UUID, uuid4

import structlog
from redis import Redis
from redis.exceptions import RedisError

EXPIRY_SECONDS = 30  # after which the sockets of a process that is gone do not count any more
RENEW_INTERVAL_SECONDS = 10.0
# The members of a user's set are sockets, their scores when they expire. Returns whether there was room for one more.
TAKE = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. time[1])
local is_known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not is_known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], time[1] + tonumber(ARGV[3]), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
Socket = tuple[UUID, int]  # its user, and its number in this process

log = structlog.get_logger(__name__)


class SharedCounts:
    """Counts WebSockets over all processes; while Redis is away, they refuse no user."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take = redis.register_script(TAKE)
        self._process = uuid4().hex

    def take(self, socket: Socket, max_sockets: int) -> bool:
        """Count a socket; return False without counting it if its user has `max_sockets` others."""
        try:
            return bool(self._take(keys=[_get_key(socket)], args=[self._get_name(socket), max_sockets, EXPIRY_SECONDS]))
        except RedisError as error:
            log.warning("sockets not counted", error=type(error).__name__)
            return True

    def release(self, socket: Socket) -> None:
        """Stop counting a socket."""
        try:
            self._redis.zrem(_get_key(socket), self._get_name(socket))
        except RedisError as error:  # it expires
            log.warning("sockets not counted", error=type(error).__name__)

    def renew(self, sockets: Iterable[Socket]) -> None:
        """Renew the sockets of this process; Redis may have lost them."""
        try:
            seconds, _ = self._redis.time()
            with self._redis.pipeline(transaction=False) as pipeline:
                for socket in sockets:
                    pipeline.zadd(_get_key(socket), {self._get_name(socket): seconds + EXPIRY_SECONDS})
                    pipeline.expire(_get_key(socket), EXPIRY_SECONDS)
                pipeline.execute()
        except RedisError as error:
            log.warning("sockets not counted", error=type(error).__name__)

    def _get_name(self, socket: Socket) -> str:
        return f"{self._process}:{socket[1]}"


def _get_key(socket: Socket) -> str:
    return f"chatbot:sockets:{socket[0]}"
