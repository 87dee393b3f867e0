"""Membership is an invitation that the user accepts; numbers of collections and members; names of collections."""

from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from chatbot.rag.types import Message
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.protocols import openai
from chatbot.services.knowledge import collections
from tests.api.test_collections import home, invitations, invite, let
from tests.api.test_documents import HOURS, find, send, work
from tests.conftest import MakeApp, Person, join

pytestmark = pytest.mark.both_databases

__all__ = ["home"]  # the fixture


def test_nothing_of_a_collection_reaches_an_invited_user_until_they_accept(
    app: Flask, ada: Person, eve: Person, home: str
) -> None:
    """B1: any user could put a text into another's prompts by making them a member."""
    send(ada, "Hours", HOURS, collection_id=home)
    work(app)
    assert invite(ada, home, eve, "reader") == 204
    (invitation,) = invitations(eve)
    assert {name: invitation[name] for name in ("id", "role", "invited_by")} == {
        "id": home, "role": "reader", "invited_by": "ada",
    }  # fmt: skip
    assert "Handbook" not in str(invitation)
    assert find(eve, "library") == []
    assert home not in str(eve.call("GET", "/api/collections/").get_json())
    assert "collection:Handbook" not in str(eve.call("GET", "/v1/models").get_json())
    assert eve.says("When is the library open?").get_json()["citations"] == []
    assert eve.call("POST", f"/api/invitations/{home}/accept/").status_code == 200
    assert invitations(eve) == []
    assert find(eve, "library") != []
    assert "collection:Handbook" in str(eve.call("GET", "/v1/models").get_json())
    assert eve.call("POST", f"/api/invitations/{home}/accept/").status_code == 404


def test_invitation_is_declined_or_taken_back_and_may_come_again(ada: Person, eve: Person, home: str) -> None:
    assert invite(ada, home, eve, "reader") == 204
    assert eve.call("DELETE", f"/api/invitations/{home}/").status_code == 204
    assert eve.call("DELETE", f"/api/invitations/{home}/").status_code == 404
    assert invite(ada, home, eve, "reader") == 204
    assert len(invitations(eve)) == 1
    assert ada.call("DELETE", f"/api/collections/{home}/members/{eve.id}/").status_code == 204
    assert eve.call("POST", f"/api/invitations/{home}/accept/").status_code == 404
    assert invite(ada, home, eve, "reader") == 204
    assert eve.call("DELETE", f"/api/collections/{home}/members/{eve.id}/").status_code == 204
    assert invitations(eve) == []


def test_pages_of_invitations_neither_skip_nor_repeat(ada: Person, eve: Person) -> None:
    homes = [ada.call("POST", "/api/collections/", {"name": str(n)}).get_json()["id"] for n in range(5)]
    for one in homes:
        assert invite(ada, one, eve, "reader") == 204
    found: list[dict[str, Any]] = []
    path = "/api/invitations/?limit=2"
    while path:
        page = eve.call("GET", path).get_json()
        found += page["items"]
        path = page["next_cursor"] and f"/api/invitations/?limit=2&cursor={page['next_cursor']}"
    assert [one["id"] for one in found] == homes


def test_numbers_of_collections_and_members_are_bounded(make_app: MakeApp) -> None:
    """A7: 1,200 collections of one user made each search of the others wait."""
    app = make_app(RATELIMIT_ENABLED="true", COLLECTIONS_PER_USER="3", MEMBERS_PER_COLLECTION="2")
    ada, eve, bob, zoe = (join(app.test_client(), name) for name in ("ada", "eve", "bob", "zoe"))
    made = [ada.call("POST", "/api/collections/", {"name": str(n)}) for n in range(5)]
    assert [one.status_code for one in made] == [201, 201, 201, 409, 409]
    assert made[-1].get_json()["code"] == "too_many_collections"
    homes = [one.get_json()["id"] for one in made[:3]]
    assert [invite(ada, homes[0], who, "reader") for who in (eve, bob, zoe)] == [204, 204, 409]
    others = [bob.call("POST", "/api/collections/", {"name": str(n)}).get_json()["id"] for n in range(3)]
    for one in others:
        assert invite(bob, one, eve, "reader") == 204
    accepted = [eve.call("POST", f"/api/invitations/{one}/accept/").status_code for one in (*others, homes[0])]
    assert accepted == [200, 200, 200, 409]
    assert bob.call("POST", f"/api/invitations/{homes[0]}/accept/").status_code == 200
    assert bob.call("DELETE", f"/api/collections/{homes[0]}/members/{bob.id}/").status_code == 204
    assert invite(ada, homes[0], zoe, "reader") == 204  # who left takes no place


def test_descriptions_count_for_the_quota_also_when_they_change(make_app: MakeApp) -> None:
    app = make_app(KNOWLEDGE_BYTES="4000")
    ada = join(app.test_client(), "ada")
    made = ada.call("POST", "/api/collections/", {"name": "Law", "description": "\u20ac" * 300}).get_json()["id"]
    refused = ada.call("PATCH", f"/api/collections/{made}/", {"description": "\u20ac" * 950})
    assert (refused.status_code, refused.get_json()["code"]) == (413, "quota_exceeded")
    assert ada.call("GET", f"/api/collections/{made}/").get_json()["description"] == "\u20ac" * 300
    assert ada.call("PATCH", f"/api/collections/{made}/", {"description": "\u20ac" * 400}).status_code == 200


def test_name_resolves_to_own_operators_and_membership_and_never_to_a_strangers(
    app: Flask, ada: Person, eve: Person
) -> None:
    """B2: any older shared collection of a name came before the operator's."""
    caller = Caller(UUID(eve.id), UUID(int=0), "user")

    def named(who: Caller) -> str:
        completion = openai.build_completion(
            who, model="collection:Law", messages=[Message("user", "Hi")], parameters={}
        )
        assert completion.collection_ids is not None
        return str(completion.collection_ids[0])

    def models(who: Person) -> list[str]:
        return [one["id"] for one in who.call("GET", "/v1/models").get_json()["data"] if "collection:" in one["id"]]

    def made_by(who: Person, visibility: str) -> str:
        made: str = who.call("POST", "/api/collections/", {"name": "Law", "visibility": visibility}).get_json()["id"]
        return made

    strangers = made_by(ada, "shared")
    assert models(eve) == [f"collection:{strangers}"]
    with app.app_context():
        operators = str(collections.ensure_operator_collection("Law"))
    assert sorted(models(eve)) == sorted(["collection:Law", f"collection:{strangers}"])
    with app.app_context():
        assert named(caller) == operators
    let(ada, strangers, eve, "reader")
    assert sorted(models(eve)) == sorted(["collection:Law", f"collection:{strangers}"])
    own = made_by(eve, "private")
    with app.app_context():
        assert named(caller) == own
    assert f"collection:{operators}" in models(eve)


def test_owner_takes_no_name_from_another_by_renaming(make_app: MakeApp) -> None:
    app = make_app()
    ada, eve, mallory = (join(app.test_client(), name) for name in ("ada", "eve", "mallory"))
    neutral = mallory.call("POST", "/api/collections/", {"name": "Neutral"}).get_json()["id"]
    handbook = ada.call("POST", "/api/collections/", {"name": "Team handbook"}).get_json()["id"]
    let(mallory, neutral, eve, "reader")
    let(ada, handbook, eve, "reader")

    def status(model: str) -> int:
        return eve.call("GET", f"/v1/models/{model}").status_code

    assert status("collection:Team handbook") == 200
    assert status(f"collection:{handbook}") == 200
    assert status(f"collection:{handbook.upper()}") == 200
    assert mallory.call("PATCH", f"/api/collections/{neutral}/", {"name": "Team handbook"}).status_code == 200
    listed = {one["id"] for one in eve.call("GET", "/v1/models").get_json()["data"]}
    assert {f"collection:{handbook}", f"collection:{neutral}"} <= listed
    assert status("collection:Team handbook") == 404
    assert status(f"collection:{handbook}") == 200
    assert mallory.call("GET", f"/v1/models/collection:{handbook}").status_code == 404
