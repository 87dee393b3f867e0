"""Texts that are the same for all: packed for clients that unpack, and sent again only where they have changed."""

import functools
import gzip
import hashlib
from collections.abc import Callable

from flask import Response, request

from chatbot.concurrency.threads import run_in_slow_thread


class Asset:
    """A file that is made once; its validators (RFC 9110, 8.8.3) are of its content."""

    def __init__(self, body: bytes, mimetype: str) -> None:
        self.body = body
        self.mimetype = mimetype
        self._tag = hashlib.sha256(body).hexdigest()[:32]

    @functools.cached_property
    def packed(self) -> bytes:
        """The body in gzip's format; of 1.4 MB it takes a thread 50 ms."""
        return run_in_slow_thread(functools.partial(gzip.compress, self.body, mtime=0))

    def respond(self, *, max_age: int = 0) -> Response:
        """Return the response to this request: 304 where the client has it, and packed where it can unpack it.

        Clients may keep it for `max_age` seconds before they ask again.
        """
        is_packed = request.accept_encodings["gzip"] > 0
        response = Response(self.packed if is_packed else self.body, mimetype=self.mimetype)
        if is_packed:
            response.content_encoding = "gzip"
        response.set_etag(f"{self._tag}-gzip" if is_packed else self._tag)
        response.vary.add("Accept-Encoding")
        response.headers["Cache-Control"] = f"max-age={max_age}" if max_age else "no-cache"
        response.make_conditional(request)
        return response


class Assets:
    """The assets of an application, each made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Asset] = {}

    def get(self, name: str, make: Callable[[], Asset]) -> Asset:
        """Return an asset."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
