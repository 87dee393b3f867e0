"""Static texts: compressed for clients that accept gzip, and sent again only after a change."""

import functools
import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import Response, redirect, request
from werkzeug import Response as WerkzeugResponse

from chatbot.concurrency.threads import run_in_slow_thread
from chatbot.errors import NotFound

# Of its own files a page runs and shows these alone, calls its own server, and HTML cannot be made of texts.
STRICT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
)


class Asset:
    """A file that does not change; its validators (RFC 9110, 8.8.3) are of its content."""

    def __init__(self, body: bytes, mimetype: str) -> None:
        self.body = body
        self.mimetype = mimetype
        self._tag = hashlib.sha256(body).hexdigest()[:32]

    @functools.cached_property
    def gzipped(self) -> bytes:
        """The body compressed with gzip; 1.4 MB take a thread 50 ms."""
        return run_in_slow_thread(functools.partial(gzip.compress, self.body, mtime=0))

    def respond(self, *, max_age: int = 0) -> Response:
        """Return the response to this request: 304 if the client has the file, compressed if it accepts gzip.

        Clients may use it for `max_age` seconds without asking again.
        """
        is_gzipped = request.accept_encodings["gzip"] > 0
        response = Response(self.gzipped if is_gzipped else self.body, mimetype=self.mimetype)
        if is_gzipped:
            response.content_encoding = "gzip"
        response.set_etag(f"{self._tag}-gzip" if is_gzipped else self._tag)
        response.vary.add("Accept-Encoding")
        response.headers["Cache-Control"] = f"max-age={max_age}" if max_age else "no-cache"
        response.make_conditional(request)
        return response


@dataclass(frozen=True, slots=True)
class Page:
    """A page with its files in a folder, by their names and media types, under a Content-Security-Policy."""

    folder: Path
    files: Mapping[str, str]
    policy: str

    def serve(self, name: str) -> Response:
        """Return one of the files; raises NotFound."""
        path = self.folder / name
        if name not in self.files or not path.is_file():  # an installation may come without it
            raise NotFound
        response = Asset(path.read_bytes(), self.files[name]).respond()
        response.headers["Content-Security-Policy"] = self.policy
        return response

    def serve_index(self) -> WerkzeugResponse:
        """Return the page at the address with a slash at its end, which the names of its files are relative to."""
        if request.path.endswith("/"):
            return self.serve("index.html")
        query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
        return redirect(f"{request.path}/{query}", 308)


class Assets:
    """The assets of an application, each created at its first request."""

    def __init__(self) -> None:
        self._made: dict[str, Asset] = {}

    def get(self, name: str, make: Callable[[], Asset]) -> Asset:
        """Return the asset of this name, created by `make` at the first call."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
