"""Loaders that misbehave, for the parsers' process; it finds this file as the module `naughty`."""

import os
import sys
import time
from pathlib import Path

from chatbot.rag.types import Parsed


class Facts:
    def load(self, data):
        apps = [name for name in sys.modules if name == "flask" or name.startswith("chatbot.api")]
        return Parsed(f"{os.getpid()} {apps} {os.environ.get('OPENAI_API_KEY')}")


class Prints:
    def load(self, data):
        print("noise" * 1000, flush=True)
        os.write(1, b"noise")
        os.write(2, b"a secret of the document")
        return Parsed("quiet")


class Exits:
    def load(self, data):
        os._exit(3)


class Leaves:
    def load(self, data):
        sys.exit(0)


class Loops:
    def load(self, data):
        while True:
            pass


class Sleeps:
    def load(self, data):
        time.sleep(60)


class Eats:
    def load(self, data):
        return bytearray(10**10)


class Grows:
    def load(self, data):
        held = []
        while True:
            held.append(bytearray(10**6))


class Swells:
    def load(self, data):
        bytearray(b"x") * 100_000_000
        return Parsed("swollen")


class Writes:
    def load(self, data):
        with Path(data.decode()).open("wb") as file:
            file.write(b"x")
        return Parsed("written")


class Raises:
    def load(self, data):
        raise KeyError("a secret of the document")


class Surrogates:
    def load(self, data):
        return Parsed("\ud800")


class Empty:
    def load(self, data):
        return Parsed(" ")


class Lies:
    def load(self, data):
        import gc
        import socket

        ours = next(found for found in gc.get_objects() if type(found) is socket.socket)
        ours.sendall(data)
        time.sleep(60)
