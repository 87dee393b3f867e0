"""Run the script of a client with some models: `python -m tests.system.clients.run SCRIPT MODEL...`.

The answers of each model are printed as JSON. Clients run in processes of their own, since they warn, patch and start
threads. Nothing but loopback is reached from here; a client that tries to reach more ends with an error.
"""

import importlib
import json
import sys
from typing import Any

LOOPBACK = ("127.", "::1", "localhost")
outside: list[Any] = []


def stay_on_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse names and addresses that are not this machine's, and note them: clients may catch the error."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host is not None and not str(host).startswith(LOOPBACK):
        outside.append(host)
        raise OSError(f"a client wanted to reach {host}")


if __name__ == "__main__":
    sys.addaudithook(stay_on_loopback)
    script = importlib.import_module(f"tests.system.clients.{sys.argv[1]}")
    answers = {model: script.ask(model) for model in sys.argv[2:]}
    assert outside == []
    print(json.dumps(answers))
