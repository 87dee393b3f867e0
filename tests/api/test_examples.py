"""The examples of the API document, each sent as "Try it out" of Swagger UI offers it."""

from typing import Any

from flask import Flask

from tests.conftest import Person, join

# In an order in which each finds what it needs: an account, a session, and what the operations before it made.
ORDER = [
    *("signUp", "logIn", "refresh", "getMe", "changeMe"),
    *("createApiKey", "listApiKeys", "rotateApiKey", "deleteApiKey"),
    *("createCollection", "listCollections", "getCollection", "changeCollection"),
    *("putMember", "listMembers", "getMember", "deleteMember"),
    *("listInvitations", "acceptInvitation", "declineInvitation"),
    *("createDocument", "listDocuments", "getDocument", "replaceDocument", "retryDocument"),
    *("listChunks", "followDocument", "search"),
    *("estimateMessage", "listBudgets", "createClientToken"),
    *("sendMessage", "getTurn", "followTurn", "getTrace", "cancelTurn", "giveFeedback", "regenerateTurn", "listTurns"),
    *("createConversation", "listConversations", "getConversation", "changeConversation"),
    *("readChanges", "followChanges"),
    *("forkConversation", "makeTitle", "createShare", "listShares", "getShared", "deleteShare"),
    *("exportConversation",),
    *("createRoom", "listRooms", "getRoom", "changeRoom", "putRoomMember", "listRoomMembers"),
    *("createRoomInvite", "listRoomInvites", "joinRoom", "deleteRoomInvite"),
    *("postRoomMessage", "listRoomMessages", "editRoomMessage", "markRoomRead", "listRoomChanges", "followRoom"),
    *("cancelRoomAnswer", "deleteRoomMessage", "deleteRoomMember", "deleteRoom"),
    *("sendUiMessage", "resumeUiStream", "stopUiChat"),
    *("createCompletion", "createTextCompletion", "listModels", "getModel", "createEmbeddings"),
    *("listUsers", "changeUser", "endUserSessions", "readTurn", "readTrace"),
    *("listAuditEntries", "listAccesses", "exportMe"),
    *("getUsage", "getOverview", "listUserUsage", "listModelUsage", "listErrors", "listTurnUsage"),
    *("getKnowledgeUsage", "getFeedbackUsage", "followLoad"),
    *("getHealth", "getReadiness", "getMetrics"),
    *("deleteTurn", "deleteConversation", "deleteHistory"),
    *("deleteDocument", "deleteCollection"),
    *("listSessions", "endOtherSessions", "endSession", "logIn", "logOut", "logIn"),
    *("resendVerification", "changeEmail", "verifyEmail", "requestPasswordReset", "confirmPasswordReset"),
    *("changePassword", "deleteMe", "getErasure"),
]
# A path's ids are for its reader to fill in, from the answers before. Nothing can be offered for these:
SECRETS = {"refresh": "refresh_token", "joinRoom": "token"}  # a secret of the session, or of an invite
NOTHING_TO_DO = {  # no turn runs, no document failed, the new conversation is empty
    **dict.fromkeys(("cancelTurn", "cancelRoomAnswer", "stopUiChat"), "not_running"),
    **dict.fromkeys(("verifyEmail", "confirmPasswordReset"), "token_spent"),  # a mail has the token
    # No administrator:
    **dict.fromkeys(("getOverview", "listUserUsage", "listModelUsage", "listErrors", "listTurnUsage"), "forbidden"),
    **dict.fromkeys(("listUsers", "changeUser", "endUserSessions"), "forbidden"),
    **dict.fromkeys(("readTurn", "readTrace", "listAuditEntries"), "forbidden"),
    **dict.fromkeys(("getKnowledgeUsage", "getFeedbackUsage", "followLoad"), "forbidden"),
    "retryDocument": "not_failed",
    "makeTitle": "no_answer",
}


MADE = {  # an id in a path: the operation before it whose answer has it
    "getMe": "me",
    "createApiKey": "key_id",
    "deleteMe": "receipt_id",
    "createCollection": "collection_id",
    "createDocument": "document_id",
    "sendMessage": "turn_id",
    "createConversation": "conversation_id",
    "createShare": "share_id",
    "createRoom": "room_id",
    "createRoomInvite": "invite_id",
    "postRoomMessage": "message_id",
}
LISTED = {"listModels": "name", "listSessions": "session_id"}  # the same of the first thing in its list


def operations(document: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return method, path and description of each operation by its name."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def offered(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the request that Swagger UI fills in: examples, defaults, and the first of the media types."""
    request: dict[str, Any] = {"query_string": {}, "headers": {}}
    places = {"query": request["query_string"], "header": request["headers"]}
    for parameter in operation.get("parameters", ()):
        value = parameter["schema"].get("example", parameter["schema"].get("default"))
        if value is not None:
            places[parameter["in"]][parameter["name"]] = str(value).lower() if isinstance(value, bool) else str(value)
    success = operation["responses"][min(operation["responses"])]
    request["headers"]["Accept"] = next(iter(success.get("content", ())), "*/*")
    if body := operation.get("requestBody", {}).get("content"):
        media_type, content = next(iter(body.items()))
        assert media_type == "application/json"
        request["json"] = content["example"]
    return request


def invite(host: Person, user_id: str) -> str:
    """Return the id of a new invitation of a user."""
    invitation: str = host.call("POST", "/api/collections/", {"name": "Handbook"}).get_json()["id"]
    host.call("PUT", f"/api/collections/{invitation}/members/{user_id}/", {"role": "reader"})
    return invitation


def test_each_operation_sends_its_example_successfully(app: Flask) -> None:
    client = app.test_client()
    host = join(client, "host")
    known = operations(client.get("/api/openapi.json").get_json())
    assert set(ORDER) == set(known)
    ids = {"user_id": host.id, "chat_id": "holidays"}
    tokens: dict[str, str] = {}
    for name in ORDER:
        method, path, operation = known[name]
        request = offered(operation)
        if name in SECRETS:
            request["json"] = {SECRETS[name]: {**ids, **tokens}[SECRETS[name]]}
        if operation.get("security"):
            request["headers"]["Authorization"] = f"Bearer {tokens['access_token']}"
        if "{invitation_id}" in path:
            ids["invitation_id"] = invite(host, ids["me"])
        with client.open(path.format_map(ids), method=method, **request) as response:
            answer = response.get_json(silent=True) or {}
            expected = NOTHING_TO_DO.get(name)
            assert answer.get("code") == expected, (name, response.text)
            assert (response.status_code < 300) == (expected is None), (name, response.text)
        if name in MADE:
            ids[MADE[name]] = answer.get(MADE[name]) or answer["id"]
        ids["token"] = answer.get("token", ids.get("token"))
        if name in LISTED:
            ids[LISTED[name]] = (answer.get("data") or answer["items"])[0]["id"]
        tokens = answer if "access_token" in answer else tokens
