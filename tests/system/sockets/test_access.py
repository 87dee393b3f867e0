"""Access to both namespaces: credentials, origins, and the ends of sockets with theirs."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import websocket

from tests.support.databases import SECRETS
from tests.support.processes import Server, Upstream, running
from tests.support.sockets import NAMESPACES, Member, SocketClient, open_raw, read_all
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.measured]


def sign(token: str, **changes: Any) -> str:
    """Return an access token with other claims."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**claims, **changes}, SECRETS["JWT_SECRET_KEY"], "HS256")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param(None, "unauthenticated", id="none"),
        pytest.param("x.y.z", "unauthenticated", id="no token"),
        pytest.param({"$ne": ""}, "unauthenticated", id="no text"),
        pytest.param("ck_" + "a" * 46, "unauthenticated", id="unknown API key"),
    ],
)
def test_socket_without_a_caller_is_refused(server: Server, namespace: str, token: Any, code: str) -> None:
    with SocketClient(server, token, namespace) as client:
        assert client.refusal["message"] == code
        assert client.refusal["data"]["status"] == 401


def test_api_key_needs_the_scope(server: Server, namespace: str, ada: Member) -> None:
    keys = {
        f"/{scope}": ada.call("POST", "/api/users/api-keys/", {"name": scope, "scopes": [scope]})
        for scope in ("chat", "rooms")
    }
    own = keys.pop(namespace)
    (other,) = keys.values()
    with SocketClient(server, other["secret"], namespace) as client:
        assert client.refusal["message"] == "scope_missing"
    with SocketClient(server, own["secret"], namespace) as client:
        assert client.call("token", token=own["secret"]) == {}
        assert client.call("token", token=other["secret"])["code"] == "scope_missing"
        ada.call("DELETE", f"/api/users/api-keys/{own['id']}/")
        wait_for(lambda: not client.is_connected)
        assert client.events == [("closing", {"code": "unauthenticated", "reconnect": False, "after": 0.0})]


def test_expired_token_and_unknown_namespace_are_refused(server: Server, namespace: str, ada: Member) -> None:
    with SocketClient(server, sign(ada.token, exp=int(time.time()) - 1), namespace) as client:
        assert client.refusal["message"] == "unauthenticated"
    with open_raw(server, ada.token, namespace) as raw:
        raw.send("40/others," + json.dumps({"token": ada.token}))
        assert raw.recv().startswith("44/others,")


def test_page_of_a_foreign_origin_is_refused(server: Server, ada: Member) -> None:
    url = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(url, origin="https://evil.example")
    assert refused.value.status_code == 400
    websocket.create_connection(url, origin=f"http://127.0.0.1:{server.port}").close()


def test_long_polling_is_refused(server: Server) -> None:
    assert server.call("GET", "/socket.io/?EIO=4&transport=polling")[0] == 400


@pytest.mark.parametrize("end", ["logout", "disabled"])
def test_socket_ends_with_its_session(server: Server, namespace: str, eve: Member, end: str) -> None:
    with eve.connect(namespace) as client:
        if end == "logout":
            eve.call("POST", "/api/users/logout/")
        else:
            server.flask("users", "disable", f"{eve.name}@example.org")
        ended_at = time.monotonic()
        wait_for(lambda: client.names() == ["closing"])
        assert time.monotonic() - ended_at < 1
        assert client.events[0][1]["code"] == "unauthenticated"
        wait_for(lambda: not client.is_connected)


def test_socket_ends_with_its_token_unless_it_is_renewed(
    server: Server, namespace: str, ada: Member, eve: Member
) -> None:
    ends = int(time.time()) + 3
    with (
        SocketClient(server, sign(ada.token, exp=ends), namespace) as hers,
        SocketClient(server, sign(eve.token, exp=ends), namespace) as mine,
    ):
        assert mine.call("token", token=ada.token)["code"] == "unauthenticated"
        assert mine.call("token", token=eve.token) == {}
        wait_for(lambda: hers.names() == ["closing"])
        assert hers.events[0][1] == {"code": "token_expired", "reconnect": True, "after": 0.0}
        assert ends <= time.time() < ends + 1.5
        wait_for(lambda: not hers.is_connected)
        assert mine.is_connected


def test_bad_events_have_their_problem_and_the_socket_lives_on(server: Server, namespace: str, ada: Member) -> None:
    with ada.connect(namespace) as client:
        assert client.call("nonsense")["errors"].keys() == {"event"}
        assert client.call("token")["errors"].keys() == {"token"}
        assert client.call("token", token="a\0b")["code"] == "malformed_body"
        assert client.call("token", token="x.y.z")["code"] == "unauthenticated"
        assert client.call("token", token=ada.token) == {}


def test_web_socket_joins_both_namespaces_each_with_a_token_of_its_own(
    server: Server, ada: Member, eve: Member
) -> None:
    ends = int(time.time()) + 3
    with open_raw(server, ada.token, "/rooms") as raw:
        raw.send("40/chat," + json.dumps({"token": sign(eve.token, exp=ends)}))
        assert raw.recv().startswith("40/chat,")
        assert raw.recv().startswith('42/chat,["closing",{"code":"token_expired"')
        assert raw.recv().startswith("41/chat,")
        raw.send("42/rooms,1" + json.dumps(["leave", {"room_id": ada.id}]))
        assert raw.recv() == "43/rooms,1[{}]"
        raw.send("42/chat,2" + json.dumps(["cancel", {"turn_id": ada.id}]))  # which it has left
        raw.send("40/chat," + json.dumps({"token": ada.token}))
        assert raw.recv().startswith("40/chat,")
        raw.send("41/rooms,")
        raw.send("42/chat,3" + json.dumps(["token", {"token": ada.token}]))
        assert raw.recv() == "43/chat,3[{}]"
        raw.send("41/chat,")
        assert read_all(raw) == []


def test_user_has_ten_web_sockets_over_both_namespaces(tmp_path: Path, upstream: Upstream) -> None:
    with contextlib.ExitStack() as opened:
        one = opened.enter_context(running(tmp_path, OPENAI_BASE_URL=upstream.url, RATELIMIT_ENABLED="true"))
        ada = Member(one, "ada")
        raws = [opened.enter_context(open_raw(one, ada.token, *NAMESPACES)) for _ in range(5)]
        raws += [opened.enter_context(open_raw(one, ada.token, name)) for name in NAMESPACES for _ in range(2)]
        last = opened.enter_context(open_raw(one, ada.token, "/chat"))
        for namespace in NAMESPACES:
            with SocketClient(one, ada.token, namespace) as client:
                assert client.refusal["message"] == "too_many_sockets"
        last.close()

        def is_let_in() -> bool:
            with SocketClient(one, ada.token, "/rooms") as client:
                return client.refusal is None

        wait_for(is_let_in)
