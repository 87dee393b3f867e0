"""A server, and two users with a room."""

from collections.abc import Iterator

import pytest

from tests.support.databases import SECRETS
from tests.support.processes import Server, Upstream, running
from tests.support.sockets import Member


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
