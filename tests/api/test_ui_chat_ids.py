"""Ids of chats in the paths of user-interface protocols, which clients make as they like."""

import pytest

from tests.conftest import Person

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("chat_id", ["%00", "a%00b", "x" * 300, "%F0%9F%90%9D", "..%2F.."])
def test_id_that_names_no_chat_is_none(ada: Person, chat_id: str) -> None:
    assert ada.call("GET", f"/api/ui/chat/{chat_id}/stream/").status_code == 204
    assert ada.call("POST", f"/api/ui/chat/{chat_id}/stop/").status_code == 404
