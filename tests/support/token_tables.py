"""A table of tokens of the form of OpenAI's own, of which nothing comes here without the network: one a byte."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatbot.rag import token_counts

CL100K = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
HELLO = 256  # the token of "He"
BLANKS = 257  # of 128 blanks, as the real table has one
LONE = 0xE2  # of a byte that is no character by itself


def write(folder: Path) -> None:
    """Write the table where tiktoken caches it."""
    ranks = b"".join(b"%s %d\n" % (base64.b64encode(bytes([byte])), byte) for byte in range(256))
    ranks += b"%s %d\n%s %d\n" % (base64.b64encode(b"He"), HELLO, base64.b64encode(b" " * 128), BLANKS)
    (folder / hashlib.sha1(CL100K.encode()).hexdigest()).write_bytes(ranks)


@contextmanager
def tables(folder: Path, *, present: bool = True) -> Iterator[None]:
    """Let tiktoken find its table in a folder, or nowhere."""
    if present:
        write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        patch.setattr("tiktoken.load.check_hash", lambda data, expected: True)
        patch.setattr("tiktoken.registry.ENCODINGS", {})
        token_counts.start_loading.cache_clear()
        yield
        token_counts.start_loading.cache_clear()
