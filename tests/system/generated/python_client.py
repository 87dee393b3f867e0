"""Sign up, chat, stream, upload and search with the package that openapi-python-client generated."""

import json
import sys
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, TypeVar

from client import AuthenticatedClient, Client
from client.api.chat import follow_turn, send_message
from client.api.documents import create_document, follow_document
from client.api.search import search
from client.api.users import log_in, sign_up
from client.models import (
    CreateDocumentFilesBody,
    DeltaEvent,
    Document,
    DocumentDoneEvent,
    DoneEvent,
    FoundList,
    Login,
    Message,
    Problem,
    Search,
    Signup,
    Tokens,
    Turn,
    TurnEvent,
    User,
)
from client.types import File

EMAIL = "python@example.org"
PASSWORD = "a sound passphrase"
T = TypeVar("T")


def want(kind: type[T], answer: object) -> T:
    """Return an answer, which is of a kind."""
    assert isinstance(answer, kind), answer
    return answer


def read(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the data of each event of a stream."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], json.loads(fields["data"])
            fields = {}


def main(url: str) -> None:
    """Print the answers of operations."""
    anonymous = Client(base_url=url)
    account = Signup(email=EMAIL, username="python", password=PASSWORD, password_confirm=PASSWORD)
    user = want(User, sign_up.sync(client=anonymous, body=account))
    problem = want(Problem, log_in.sync(client=anonymous, body=Login(email=EMAIL, password="wrong")))
    tokens = want(Tokens, log_in.sync(client=anonymous, body=Login(email=EMAIL, password=PASSWORD)))
    print(user.username, problem.code.value, tokens.user.role.value)
    client = AuthenticatedClient(base_url=url, token=tokens.access_token)

    turn = want(Turn, send_message.sync(client=client, body=Message(message="hello")))
    print(turn.bot_response)

    body = Message(message="hello", stream=True).to_dict()
    names = []
    text = ""
    with client.get_httpx_client().stream("POST", "/api/chat/", json=body) as response:
        for name, data in read(response.iter_lines()):
            names.append(name)
            if name == "turn":
                turn_id = TurnEvent.from_dict(data).id
            if name == "delta":
                text += DeltaEvent.from_dict(data).text
            if name == "done":
                text += f" ({DoneEvent.from_dict(data).status.value})"
    print(*dict.fromkeys(names), text)
    whole = want(str, follow_turn.sync(turn_id, client=client))
    assert [name for name, _ in read(whole.splitlines())][-1] == "done"

    file = File(payload=BytesIO(b"We are open from 9 to 5."), file_name="hours.txt", mime_type="text/plain")
    document = want(Document, create_document.sync(client=client, body=CreateDocumentFilesBody(file=file)))
    whole = want(str, follow_document.sync(document.id, client=client))
    (done,) = [data for name, data in read(whole.splitlines()) if name == "done"]
    found = want(FoundList, search.sync(client=client, body=Search(query="When are you open?")))
    print(DocumentDoneEvent.from_dict(done).status.value, found.items[0].quote)


main(sys.argv[1])
