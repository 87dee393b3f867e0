"""Documents from the web: fetched addresses, addresses refused unseen, and refusals that are all alike."""

import gzip
import socket
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from chatbot.rag.errors import AddressRefused
from chatbot.rag.http.fetch import Fetched, Limits, fetch
from tests.rag.loaders.test_addresses import DENIED_PLACES
from tests.rag.loaders.web import PUBLIC, Answer, Endless, Names, Web, answer, catch_all, quickest, web
from tests.support.waiting import let_pass

AMPLE = Limits(size=100_000)
QUICK = Limits(connect=0.3, total=0.4, size=100_000)
LATE = 0.3  # seconds after its deadline in which a fetch must have ended; in one of three tries the machine may stop
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OPEN_END = b"HTTP/1.1 200 OK\r\n\r\n"
SENTENCE = "This address cannot be fetched."

# Written well, but in denied networks.
DENIED_URLS = [
    "http://127.0.0.1/", "http://127.0.0.1:443/", "https://127.0.0.1/", "http://127.255.255.254/", "http://0.0.0.0/",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://localhost/", "http://LOCALHOST/", "http://168.63.129.16/",
    "http://100.100.100.200/", "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://100.64.0.1/", "http://192.0.2.1/",
    "http://198.18.0.1/", "http://224.0.0.1/", "http://255.255.255.255/", "http://[ff02::1]/", "http://[fe80::1]/", "http://[fc00::1]/",
    "http://[2001:db8::1]/", "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/", "http://[2002:7f00:1::]/", "http://[2001:0:7f00:1::]/",
]  # fmt: skip
MALFORMED = [  # refused before anything is resolved
    # Numbers and names that a resolver takes for loopback or metadata.
    "http://127.1/", "http://127.0.1/",
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0x7F.0.0.1/", "http://017700000001/", "http://0177.0.0.1/",
    "http://0177.1/", "http://0/", "http://00000177.0.0.1/", "http://127.0.0.1./", "http://127.0.0.1../", "http://4294967295/",
    "http://127.000.000.001/", "http://2852039166/", "http://0xa9fea9fe/",
    "http://localhost./",
    # Zones and brackets.
    "http://[fe80::1%25eth0]/", "http://[::1%lo]/", "http://[::1%25lo]/", "http://[2606:4700::1111%25eth0]/", "http://::1/", "http://[::1/", "http://[::1]x/",
    # What other readers take for digits, letters and dots.
    "http://１２７.0.0.1/", "http://127。0。0。1/", "http://127．0．0．1/", "http://①②⑦.0.0.1/", "http://ⓛocalhost/", "http://docs。test/",
    "http://localhoſt/", "httpſ://docs.test/", "http://docs.test\u200b/", "http://münchen.de/", "http://%31%32%37.0.0.1/", "http://docs.test%00.evil.test/",
    # User names, backslashes, white space, control characters.
    "http://docs.test@127.0.0.1/", "http://user:password@docs.test/", "http://@docs.test/", "http://docs.test\\@127.0.0.1/", "http:\\\\docs.test/",
    "http://docs.test/\\..\\", "http://docs.test/\r\nHost: localhost", "http://docs.test/a b", " http://docs.test/", "http://docs.test/\n", "http://docs.test\t/",
    "http://docs.test/\x00", "http://docs.test/\x7f", "http://docs.test/#\r\n", "http://docs.test/\ud800", "ht\ntp://docs.test/",
    # Other ports and schemes, and what is none.
    "http://docs.test:22/", "http://docs.test:8080/", "http://docs.test:6379/", "http://docs.test:0/", "http://docs.test:65616/", "http://docs.test:080/",
    "http://docs.test:/", "http://docs.test:٨٠/", "http://docs.test:-80/", "http://docs.test:80:80/", "ftp://docs.test/", "file:///etc/passwd", "gopher://docs.test:80/",
    "data:text/plain,hello", "dict://docs.test:80/", "jar:http://docs.test/!/", "view-source:http://docs.test/", "unix:/run/docker.sock", "//docs.test/",
    "docs.test", "http:docs.test", "http:/docs.test", "http:///docs.test", "http://", "http://.", "http://-.test/", "http://docs..test/", "http://docs_.test/", "",
    f"http://{'a' * 64}.test/", f"http://{'a.' * 130}test/", f"http://docs.test/{'a' * 9000}",
]  # fmt: skip


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server on which all connections land, for any host and port."""
    with web(answer(b"canary")) as server:
        catch_all(server, monkeypatch)
        yield server


def refused(
    url: str, *, allowed: frozenset[str] | None = None, limits: Limits = AMPLE, **options: Any
) -> BaseException:
    """Fetch, find the one refusal, and return its cause."""
    with pytest.raises(AddressRefused) as caught:
        fetch(url, allowed_hosts=allowed, limits=limits, **options)
    assert (str(caught.value), caught.value.detail) == (SENTENCE, SENTENCE)
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


def fetched(*answers: Answer, path: str = "", limits: Limits = AMPLE) -> Fetched:
    with web(*answers) as server:
        return fetch(server.url + path, allowed_hosts=frozenset({server.server}), limits=limits)


def broken(*answers: Answer, limits: Limits = AMPLE) -> BaseException:
    with web(*answers) as server:
        cause = refused(server.url, allowed=frozenset({server.server}), limits=limits)
        assert server.hits == len(answers)
        return cause


def test_listed_host_on_loopback_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with web(answer(b"# Title", "Content-Type: Text/Markdown; charset=utf-8")) as server:
        got = fetch(f"{server.url}docs/a%20b.md?x=1#part", allowed_hosts=frozenset({server.server}))
    assert got == Fetched(b"# Title", "text/markdown", "utf-8", ("a b.md",), f"{server.url}docs/a%20b.md?x=1")
    lines = server.requests[0].decode().splitlines()
    assert lines[:2] == ["GET /docs/a%20b.md?x=1 HTTP/1.1", f"Host: {server.server}"]
    assert {"Accept-Encoding: gzip", "Connection: close"} <= set(lines)


def test_public_host_is_fetched_from_the_place_that_was_checked(canary: Web) -> None:
    names = Names([PUBLIC])
    got = fetch("http://Docs.test/a", allowed_hosts=None, resolve=names)
    assert (got.data, got.url) == (b"canary", "http://docs.test/a")
    assert (canary.hits, canary.dialled, names.asked) == (1, [(PUBLIC, 80)], [("docs.test", 80)])
    assert b"\r\nHost: docs.test\r\n" in canary.requests[0]


@pytest.mark.parametrize("url", DENIED_URLS)
def test_addresses_in_denied_networks_reach_nothing(url: str, canary: Web) -> None:
    refused(url)
    assert (canary.hits, canary.dialled) == (0, [])


@pytest.mark.parametrize("url", MALFORMED)
def test_addresses_that_are_not_plain_are_not_even_resolved(url: str, canary: Web) -> None:
    names = Names([PUBLIC])
    refused(url, resolve=names)
    assert (canary.hits, canary.dialled, names.asked) == (0, [], [])


def test_tables_of_refused_addresses_are_long_enough() -> None:
    assert len({*DENIED_URLS, *MALFORMED}) >= 60


@pytest.mark.parametrize("place", DENIED_PLACES)
def test_names_of_denied_places_reach_nothing_even_beside_public_ones(place: str, canary: Web) -> None:
    refused("http://docs.test/", resolve=Names([place]))
    refused("http://docs.test/", resolve=Names([PUBLIC, place]), allowed=frozenset({"docs.test"}))
    assert (canary.hits, canary.dialled) == (0, [])


def test_host_is_resolved_once_so_that_it_cannot_be_bound_anew(canary: Web) -> None:
    names = Names([PUBLIC], ["127.0.0.1"])
    assert fetch("http://docs.test/", allowed_hosts=None, resolve=names).data == b"canary"
    assert (canary.dialled, len(names.asked)) == ([(PUBLIC, 80)], 1)
    refused("http://docs.test/", resolve=names)
    assert canary.hits == 1


def test_host_that_redirects_to_itself_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with web(answer(b"", "Location: /", status="302 Found")) as server:
        catch_all(server, monkeypatch)
        refused("http://docs.test/", resolve=Names([PUBLIC], ["10.0.0.1"]))
        assert server.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1/", "http://127.0.0.1:8080/", "//localhost/", "http://2130706433/", "http://[::1]/", "file:///etc/passwd",
     "ftp://docs.test/", "http://docs.test:22/", "http://user@docs.test/", "/a\\b", "/a\tb", "http://a.test, http://b.test", "javascript:0", "",
     "http://[64:ff9b::7f00:1]/", "/\xff"],
)  # fmt: skip
def test_redirects_pass_the_same_checks(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        return Names([PUBLIC])(host, port) if host == "docs.test" else [*socket.getaddrinfo(host, port, **options)]

    with web(answer(b"", f"Location: {location}", status="302 Found"), answer(b"canary")) as server:
        catch_all(server, monkeypatch)
        refused("http://docs.test/", resolve=resolve)
        assert server.dialled == [(PUBLIC, 80)]


def test_with_a_list_a_redirect_leads_to_its_hosts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with web(answer(b"", "Location: http://other.test/", status="302 Found"), answer()) as server:
        catch_all(server, monkeypatch)
        refused("http://docs.test/", allowed=frozenset({"docs.test"}), resolve=Names([PUBLIC]))
        assert server.hits == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
def test_redirects_are_followed(status: str) -> None:
    got = fetched(answer(b"", "Location: ../caf\xc3\xa9/b.txt", status=status), answer(b"there"), path="a/c")
    assert (got.data, got.names[0], got.url.partition("/caf")[2]) == (b"there", "b.txt", "%C3%A9/b.txt")


def test_five_redirects_are_followed_and_not_a_sixth() -> None:
    again = answer(b"", "Location: /", status="302 Found")
    assert fetched(*[again] * 5, answer()).data == b"whole"
    assert str(broken(*[again] * 6)) == "too many redirects"


@pytest.mark.parametrize(
    "status",
    [
        "404 Not Found",
        "201 Created",
        "204 No Content",
        "206 Partial",
        "304 Same",
        "300 Choices",
        "401 Who",
        "500 No",
        "103 Early",
    ],
)
def test_other_statuses_are_refused(status: str) -> None:
    broken(answer(status=status))


@pytest.mark.parametrize(
    ("header", "media_type"),
    [("text/html", "text/html"), (" A/B+c ;x", "a/b+c"), ("", ""), ("html", ""), ("a/b, c/d", "")],
)
def test_media_type_is_told_without_parameters_or_not_at_all(header: str, media_type: str) -> None:
    assert fetched(answer(b"", f"Content-Type: {header}")).media_type == media_type


def test_gzip_chunks_and_open_ends_are_read() -> None:
    text = b"words " * 10_000
    assert fetched(answer(gzip.compress(text), "Content-Encoding: gzip")).data == text
    assert fetched([CHUNKED, b"3\r\nabc\r\n", b"2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n"]).data == b"abcde"
    assert fetched([OPEN_END, b"abc", b"de"]).data == b"abcde"


def test_size_is_bounded_to_the_byte() -> None:
    limits = Limits(size=50_000)
    for encode, headers in ((bytes, ()), (gzip.compress, ["Content-Encoding: gzip"])):
        assert len(fetched(answer(encode(bytes(50_000)), *headers), limits=limits).data) == 50_000
        broken(answer(encode(bytes(50_001)), *headers), limits=limits)


def test_total_of_twenty_megabytes_is_the_default() -> None:
    assert Limits() == Limits(connect=5.0, total=30.0, size=20_000_000, redirects=5)
    assert "too long" in str(broken([b"HTTP/1.1 200 OK\r\nContent-Length: 20000001\r\n\r\n"], limits=Limits()))


BOMB = gzip.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    "pieces",
    [
        answer(BOMB, "Content-Encoding: gzip"),
        answer(BOMB, "Content-Encoding: x-gzip"),
        answer(gzip.compress(BOMB), "Content-Encoding: gzip, gzip"),
        answer(zlib.compress(bytes(50_000_000)), "Content-Encoding: deflate"),
        answer(b"whole", "Content-Encoding: br"),
        answer(b"no gzip", "Content-Encoding: gzip"),
        answer(gzip.compress(b"cut")[:-4], "Content-Encoding: gzip"),
        answer(gzip.compress(b"one") + gzip.compress(b"two"), "Content-Encoding: gzip"),
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"],
        [CHUNKED + b"5\r\nhel"], [CHUNKED + b"5\r\nhello\r\n"], [CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"], [CHUNKED + b"x\r\n"],
        [b"no http\r\n\r\n"], [b""], [b"HTTP/1.1 200"], [b"HTTP/1.1 200 OK\r\nA: b\r\n"], [b"\x16\x03\x01"],
        [b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\nbody"],
        [b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\nbody"],
        [b"HTTP/1.1 200 OK\r\n" + (b"A: " + b"a" * 9_000 + b"\r\n") * 20 + b"\r\nbody"],
    ],
    ids=[
        "gzip bomb", "x-gzip bomb", "gzip bomb in gzip", "deflate bomb", "brotli", "not gzip", "gzip cut off",
        "two gzip members", "short body", "chunk cut off", "no last chunk", "negative chunk", "chunk without length",
        "not HTTP", "nothing", "no line end", "no end of headers", "TLS", "200 headers", "long header", "180 kB of headers",
    ],
)  # fmt: skip
def test_bombs_and_broken_answers_are_refused(pieces: Answer) -> None:
    tracemalloc.start()
    try:
        assert not isinstance(broken(pieces), TimeoutError)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("beginning", "again"),
    [(OPEN_END, b"a" * 1_000), (CHUNKED, b"400\r\n" + b"a" * 1_024 + b"\r\n"), (CHUNKED, b"1\r\na\r\n" * 100), (CHUNKED, b"1;" + b"x" * 999),
     (CHUNKED + b"0\r\n", b"A: b\r\n" * 100), (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40), (b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 999 + b"\r\n"),
     (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"", mtime=0)[:10], b"\x00\x00\x00\xff\xff" * 200)],
)  # fmt: skip
def test_endless_answers_are_cut_at_their_size(beginning: bytes, again: bytes) -> None:
    endless = Endless(beginning, again)
    assert not isinstance(broken(endless, limits=Limits(total=5, size=100_000)), TimeoutError)
    assert endless.sent < 10_000_000  # what the buffers of two sockets hold is on its way already


@pytest.mark.parametrize(
    ("beginning", "again"),
    [(b"", b"H"), (b"HTTP/1.1 200 OK\r\n", b"a"), (OPEN_END, b"a"), (CHUNKED, b"1\r\na\r\n"), (CHUNKED, b"0"), (OPEN_END, b"")],
)  # fmt: skip
def test_slow_answers_are_cut_at_the_deadline_whatever_trickles_in(beginning: bytes, again: bytes) -> None:
    def cut() -> None:
        assert isinstance(broken(Endless(beginning, again, pause=0.02), limits=QUICK), TimeoutError)

    assert QUICK.total <= quickest(cut, QUICK.total + LATE) < QUICK.total + LATE


def test_deadline_holds_for_all_redirects_together() -> None:
    class Late(list[bytes]):
        def __iter__(self):  # type: ignore[no-untyped-def]  # stands for a class without types
            let_pass(0.15)
            return super().__iter__()

    def cut() -> None:
        with web(Late(answer(b"", "Location: /", status="302 Found"))) as server:
            refused(server.url, allowed=frozenset({server.server}), limits=QUICK)

    assert quickest(cut, QUICK.total + LATE) < QUICK.total + LATE
