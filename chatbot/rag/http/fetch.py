"""Fetches a document from the web, without reaching our own network.

Proxies and credentials of the environment play no part: a proxy would resolve the host again.
"""

import http.client
import re
import socket
import time
import zlib
from collections.abc import Set
from dataclasses import dataclass
from urllib.parse import urljoin

from chatbot.rag.errors import AddressRefused

from .addresses import Address, check_place, check_server, parse
from .wire import PIECE, BoundedConnection, Resolver, connect, resolve_host

REDIRECTS = {301, 302, 303, 307, 308}
FOUND = {http.client.OK, http.client.NON_AUTHORITATIVE_INFORMATION}
UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")  # in a Location: urljoin takes some of it out without a word
GZIP = 16 + zlib.MAX_WBITS
PACKED = {"identity": None, "gzip": GZIP, "x-gzip": GZIP, "deflate": zlib.MAX_WBITS}  # some send it unasked
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: chatbot-api\r\nAccept: */*\r\n"
    "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one fetch: seconds, bytes (on the wire, and again when unpacked) and redirects.

    `connect` is for each host: to resolve it, to connect, and to agree on TLS.
    """

    connect: float = 5.0
    total: float = 30.0
    size: int = 20_000_000
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched file: its type in lower case without parameters, "" if missing, and the charset that is told with it.

    `names` are those that the server gives it (RFC 6266), then its address; `url` is where it came from in the end.
    """

    data: bytes
    media_type: str
    charset: str | None
    names: tuple[str, ...]
    url: str


def fetch(
    url: str,
    *,
    allowed_hosts: Set[str] | None,
    limits: Limits = Limits(),
    resolve: Resolver = socket.getaddrinfo,
) -> Fetched:
    """Fetch a document over http or https.

    With `allowed_hosts` nothing else is asked; its entries are in lower case, `host` (ports 80 and 443) or
    `host:port`, IPv6 as `[address]:port` in its shortest form. What lies in a denied network is refused all the same,
    but for an address on loopback that is written there with its port. With None each public host may be asked.
    Raises AddressRefused, always with the same text; its cause is for the log.
    """
    deadline = time.monotonic() + limits.total
    try:
        for _ in range(limits.redirects + 1):
            outcome = _visit(parse(url), allowed_hosts, limits, deadline, resolve)
            if isinstance(outcome, Fetched):
                return outcome
            url = outcome
        raise ValueError("too many redirects")
    except (OSError, ValueError, http.client.HTTPException, zlib.error) as error:
        raise AddressRefused from error


def _visit(
    address: Address, allowed_hosts: Set[str] | None, limits: Limits, deadline: float, resolve: Resolver
) -> Fetched | str:
    check_server(address, allowed_hosts)
    until = min(time.monotonic() + limits.connect, deadline)
    places = resolve_host(address, resolve, until)
    for place in places:
        check_place(str(place[4][0]), address, allowed_hosts)
    with connect(address, places, until, deadline) as wire:
        response = _send_request(wire, address)
        if response.status in REDIRECTS:
            return _next(address, response)
        if response.status not in FOUND:
            raise ValueError(f"the server answered {response.status}")
        wire.left = limits.size
        data = _read_body(response, limits.size)
    names = (*_disposition_name(response), address.file_name)
    return Fetched(data, _media_type(response), response.headers.get_content_charset(), names, address.url)


def _send_request(wire: BoundedConnection, address: Address) -> http.client.HTTPResponse:
    wire.send(REQUEST.format(path=address.path, host=address.authority).encode("ascii"))
    response = http.client.HTTPResponse(wire, method="GET")  # type: ignore[arg-type]  # of a socket it calls makefile
    response.begin()
    if wire.ended:  # http.client takes headers that break off for whole ones
        raise http.client.IncompleteRead(b"")
    return response


def _next(address: Address, response: http.client.HTTPResponse) -> str:
    location = response.getheader("Location")
    if not location or UNSAFE.search(location):
        raise ValueError("a redirect to no address")
    # http.client reads headers as Latin-1; servers that do not escape write UTF-8.
    return urljoin(address.url, location.encode("latin-1").decode())


def _read_body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    if (response.length or 0) > max_bytes:
        raise ValueError("the document is too long")
    encoding = (response.getheader("Content-Encoding") or "identity").lower()
    if encoding not in PACKED:
        raise ValueError("an encoding that was not asked for")
    body = bytearray()
    window = PACKED[encoding]
    unpacked = None if window is None else zlib.decompressobj(window)
    while piece := response.read1(PIECE):
        body += piece if unpacked is None else unpacked.decompress(piece, max_bytes + 1 - len(body))
        if len(body) > max_bytes or (unpacked is not None and unpacked.unused_data):
            raise ValueError("the document is too long, or something follows it")
    # http.client takes a body that is shorter than told for a whole one.
    if response.length or (unpacked is not None and not unpacked.eof):
        raise http.client.IncompleteRead(b"")
    return bytes(body)


def _media_type(response: http.client.HTTPResponse) -> str:
    value = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    return value if MEDIA_TYPE.fullmatch(value) else ""


def _disposition_name(response: http.client.HTTPResponse) -> list[str]:
    """Return the file name of a Content-Disposition, if there is one (RFC 6266; RFC 2231 for the extended form)."""
    name = response.headers.get_filename()
    return [] if name is None else [name]
