"""A room in a terminal: its messages are printed, and the lines of standard input are written into it."""

import os
import sys
import threading
import uuid

import socketio

SERVER = "http://127.0.0.1:8000"
ROOM = os.environ["ROOM"]
client = socketio.Client()
lock = threading.Lock()  # the client handles each event in a thread of its own
shown = {}  # by the id of a message, the change up to which it was shown
rev = None  # the change up to which all is known


def ask(event, **data):
    """Send an event and return the answer of the server."""
    answer = client.call(event, {"room_id": ROOM, **data}, namespace="/rooms", timeout=10)
    if "code" in answer:  # a problem document
        raise ConnectionError(answer["title"]) if answer["retryable"] else ValueError(answer["title"])
    return answer


def show(message):
    """Print a message, unless it was printed in this state."""
    is_shown = shown.get(message["id"], 0) >= message["rev"]
    shown[message["id"]] = max(message["rev"], shown.get(message["id"], 0))
    if not is_shown and message["status"] not in ("queued", "pending"):  # an answer that is being written
        author = message["author"]["username"] if message["author"] else message["kind"]
        print(f"{message['seq']} {author}: {message['text']}", flush=True)


def catch_up():
    """Join the room, with each connection anew, and show the messages that were missed."""
    global rev
    with lock:
        is_complete = False
        while not is_complete:
            joined = ask("join", **({} if rev is None else {"since_rev": rev}))
            for change in joined["changes"]:
                if change["type"] == "message":
                    show(change["data"])
            rev = joined["rev"]
            is_complete = joined["complete"]


def follow(message):
    """Show a message as it comes."""
    global rev
    with lock:
        show(message)
        if rev is not None:
            rev = max(rev, message["rev"])


client.on("connect", catch_up, namespace="/rooms")
client.on("connect_error", lambda problem: print(problem, file=sys.stderr), namespace="/rooms")
client.on("message", follow, namespace="/rooms")
client.on("bot_done", lambda done: follow(done["message"]), namespace="/rooms")
client.on("changed", lambda change: change["type"] == "message" and follow(change["data"]), namespace="/rooms")
client.connect(SERVER, auth={"token": os.environ["TOKEN"]}, namespaces=["/rooms"], transports=["websocket"])
for line in sys.stdin:
    client_id = str(uuid.uuid4())  # the same in all tries, so that the message is stored once
    is_sent = False
    while not is_sent:
        try:
            ask("message", text=line.strip(), client_id=client_id)
            is_sent = True
        except (ConnectionError, socketio.exceptions.SocketIOError):
            client.sleep(1)  # it connects again by itself
client.sleep(1)  # for what others write
client.disconnect()
