"""A server, and two users with a room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import SECRETS
from tests.support.processes import Server, Upstream, running
from tests.support.redis_server import RedisServer
from tests.support.sockets import NAMESPACES, Member


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """Run a server with secrets that the tests know."""
    folder = tmp_path_factory.mktemp("sockets")
    with running(folder, OPENAI_BASE_URL=upstream.url, **SECRETS) as one:
        yield one


@pytest.fixture
def ada(server: Server) -> Member:
    return Member(server, "ada")


@pytest.fixture
def eve(server: Server) -> Member:
    return Member(server, "eve")


@pytest.fixture
def room_id(ada: Member, eve: Member) -> str:
    """Return a room of Ada's with Eve as a member."""
    made: str = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
    ada.call("PUT", f"/api/rooms/{made}/members/{eve.id}/", {"role": "member"})
    return made


@pytest.fixture(params=NAMESPACES)
def namespace(request: pytest.FixtureRequest) -> str:
    """Return each namespace: sockets end alike in both."""
    name: str = request.param
    return name


@pytest.fixture
def hosts(
    tmp_path: Path, upstream: Upstream, postgres_url: str, own_redis: RedisServer
) -> Iterator[tuple[Server, Server]]:
    """Run two hosts on one PostgreSQL and one Redis."""
    shared = {"DATABASE_URL": postgres_url, "REDIS_URL": own_redis.url, "VECTOR_STORE": "pgvector"}
    settings = {"OPENAI_BASE_URL": upstream.url, **shared, **SECRETS}
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with running(folders[0], **settings) as one, running(folders[1], **settings) as two:
        yield one, two
