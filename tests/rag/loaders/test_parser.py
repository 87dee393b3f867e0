"""The child process in which loaders run: warm, limited, and replaced after any fault of a file or a library."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chatbot.rag import errors
from chatbot.rag.loaders.sandbox import frames, service
from chatbot.rag.loaders.sandbox.parser import Parser
from chatbot.rag.types import Parsed, ParserLimits
from tests.support.processes import ROOT
from tests.support.waiting import let_pass, wait_for

pytestmark = pytest.mark.slow

LOADERS = {
    name.lower(): f"naughty:{name}" for name in (
        "Facts", "Prints", "Exits", "Leaves", "Loops", "Sleeps", "Eats", "Grows", "Swells", "Writes", "Raises", "Surrogates", "Empty", "Lies")
} | {"missing": "no_such_library:Loader"}  # fmt: skip


@pytest.fixture(autouse=True)
def naughty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")


@pytest.fixture
def parser() -> Iterator[Parser]:
    with Parser(ParserLimits(cpu=30, wall=60.0), LOADERS) as parser:
        yield parser


@pytest.fixture
def impatient() -> Iterator[Parser]:
    with Parser(ParserLimits(cpu=1, wall=4.0), LOADERS) as parser:
        yield parser


def parse(parser: Parser, media_type: str, data: bytes) -> Parsed:
    return parser.parse(media_type, len(data), iter([data[:9], data[9:]]))


def child(parser: Parser) -> int:
    return int(parse(parser, "facts", b"").text.split()[0])


def wait_for_end(pid: int) -> None:
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 5)


def is_replaced(parser: Parser, media_type: str, error: type[Exception], sentence: str) -> float:
    before = child(parser)
    started = time.monotonic()
    with pytest.raises(error, match=sentence):
        parse(parser, media_type, b"")
    took = time.monotonic() - started
    wait_for_end(before)
    assert child(parser) != before
    return took


def test_documents_are_read_by_one_warm_child_without_the_application_and_its_keys(parser: Parser) -> None:
    first = parse(parser, "facts", b"").text
    pid, facts = first.split(maxsplit=1)
    assert int(pid) != os.getpid()
    assert facts == "[] None"
    assert parse(parser, "text/markdown", "# Größe\r\n😀".encode()) == Parsed("# Größe\n😀", "Größe")
    assert parse(parser, "facts", b"").text == first


def test_large_file_goes_in_and_large_text_comes_out(parser: Parser) -> None:
    assert parse(parser, "text/plain", b"0123456789" * 1_500_000).text == "0123456789" * 1_500_000


def test_pages_come_through(parser: Parser) -> None:
    from tests.rag.loaders.samples import pdf, shown

    assert parse(parser, "application/pdf", pdf(shown("a"), shown("b"))) == Parsed("a\n\nb", None, (0, 3))


def test_what_a_library_prints_reaches_nobody(parser: Parser, capfd: pytest.CaptureFixture[str]) -> None:
    assert parse(parser, "prints", b"").text == "quiet"
    assert parse(parser, "prints", b"").text == "quiet"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("media_type", "sentence"), [
    ("exits", "Reading the document broke its reader"), ("leaves", "Reading the document broke its reader"),
    ("eats", "The document takes too much memory to read."), ("grows", "The document takes too much memory to read."),
])  # fmt: skip
def test_child_that_breaks_is_replaced(parser: Parser, media_type: str, sentence: str) -> None:
    is_replaced(parser, media_type, errors.ParserCrashed, sentence)


@pytest.mark.parametrize("media_type", ["loops", "sleeps"])
def test_child_that_takes_too_long_is_replaced(impatient: Parser, media_type: str) -> None:
    assert is_replaced(impatient, media_type, errors.ParserTimeout, "Reading the document took too long") < 5


@pytest.mark.parametrize(
    ("media_type", "error", "sentence", "note"),
    [
        ("raises", errors.UnreadableDocument, "The document is broken and cannot be read.", "KeyError at "),
        ("surrogates", errors.UnreadableDocument, "The document is broken", "UnicodeEncodeError at "),
        ("empty", errors.UnreadableDocument, "The document has no text.", None),
        ("text/plain", errors.UnreadableDocument, "The document has no text.", None),
        ("video/mp4", errors.UnknownAdapter, "There is no adapter 'video/mp4' among the loaders", None),
        ("missing", errors.MissingLibrary, "needs a library: pip install no_such_library", None),
    ],
)
def test_child_that_says_no_stays(
    parser: Parser, media_type: str, error: type[Exception], sentence: str, note: str | None
) -> None:
    before = child(parser)
    with pytest.raises(error, match=sentence) as refused:
        parse(parser, media_type, b"")
    notes = getattr(refused.value, "__notes__", [])
    assert [found.startswith(note or "-") for found in notes] == ([True] if note else [])
    assert "secret" not in str(notes)
    assert child(parser) == before


@pytest.mark.parametrize(
    "sent",
    [
        b"x" * 100,
        b"\xff" * 8,
        frames.packed({}, 0) + b"",
        frames.packed({"title": 1, "pages": ["x"]}, 0),
        frames.packed({"title": None, "pages": [0]}, 1) + b"\xff",
        frames.packed({"error": "SystemExit", "detail": "x"}, 0),
        frames.LENGTHS.pack(2, 0) + b"[]",
        frames.LENGTHS.pack(2, 0) + b"{x",
    ],
    ids=range(8),
)
def test_child_that_was_taken_over_cannot_confuse_the_parent(parser: Parser, sent: bytes) -> None:
    with pytest.raises(errors.ParserCrashed):
        parse(parser, "lies", sent)
    assert parse(parser, "text/plain", b"x").text == "x"


def test_no_file_is_written(parser: Parser, tmp_path: Path) -> None:
    with pytest.raises(errors.UnreadableDocument):
        parse(parser, "writes", str(tmp_path / "file").encode())
    assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size == 0


def test_child_is_replaced_after_so_many_documents() -> None:
    with Parser(ParserLimits(documents=3), LOADERS) as parser:
        pids = [child(parser) for _ in range(7)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]
    for pid in pids:
        wait_for_end(pid)


def test_child_that_has_grown_is_replaced() -> None:
    with Parser(ParserLimits(memory=150 * 2**20), LOADERS) as parser:
        before = child(parser)
        assert parse(parser, "swells", b"").text == "swollen"
        assert child(parser) != before


def test_child_that_was_killed_while_idle_costs_no_document(parser: Parser) -> None:
    pid = child(parser)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert parse(parser, "text/plain", b"x").text == "x"


def test_started_child_is_warm() -> None:
    with Parser(loaders=LOADERS) as parser:
        parser.start()
        kept = psutil.Process().children()
        assert child(parser) in [process.pid for process in kept]


def test_threads_take_turns(parser: Parser) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda text=f"text {n}": found.append(parse(parser, "text/plain", text.encode()).text))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(f"text {n}" for n in range(20))


ORPHAN = """
    import sys
    from chatbot.rag.loaders.sandbox.parser import Parser

    parser = Parser(loaders={"facts": "naughty:Facts", "loops": "naughty:Loops", "sleeps": "naughty:Sleeps"})
    print(parser.parse("facts", 0, []).text.split()[0], flush=True)
    if sys.argv[1] == "idle":
        sys.stdin.read()
    parser.parse(sys.argv[1], 0, [])
"""


@pytest.mark.parametrize("doing", ["idle", "loops", "sleeps"])
def test_no_child_outlives_its_parent(doing: str, tmp_path: Path) -> None:
    (tmp_path / "orphan.py").write_text(textwrap.dedent(ORPHAN))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    with subprocess.Popen(
        [sys.executable, tmp_path / "orphan.py", doing], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        let_pass(0.3)
        assert psutil.pid_exists(pid)
        parent.kill()
        parent.wait()
        wait_for_end(pid)


PATCHED = """
    from gevent import monkey
    monkey.patch_all()
    import time
    import gevent
    from chatbot.rag import errors
    from chatbot.rag.loaders.sandbox.parser import Parser
    from chatbot.rag.types import ParserLimits

    worst, stop = 0.0, False

    def tick():
        global worst
        while not stop:
            before = time.monotonic()
            gevent.sleep(0.01)
            worst = max(worst, time.monotonic() - before)

    loaders = {name: f"naughty:{name.capitalize()}" for name in ("sleeps", "exits", "loops", "facts")}
    ticking = gevent.spawn(tick)
    gevent.sleep(0.05)
    failed = []
    with Parser(ParserLimits(cpu=1, wall=2.0, documents=2), loaders) as parser:
        for name in ("sleeps", "exits", "loops"):
            try:
                parser.parse(name, 0, [])
            except errors.DocumentError as error:
                failed.append(type(error).__name__)
        jobs = [gevent.spawn(parser.parse, "text/plain", 1_000_000, [b"x" * 1_000_000]) for _ in range(10)]
        gevent.joinall(jobs, raise_error=True)
        killed = gevent.spawn(parser.parse, "sleeps", 0, [])
        gevent.sleep(0.5)
        killed.kill()
        assert parser.parse("text/plain", 5, [b"after"]).text == "after"
    stop = True
    ticking.join()
    print(*failed, len(jobs), worst < 0.25)
"""


def test_waiting_for_the_child_stops_no_greenlet(tmp_path: Path) -> None:
    (tmp_path / "patched.py").write_text(textwrap.dedent(PATCHED))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    command = [sys.executable, tmp_path / "patched.py"]
    for _ in range(3):  # in one of them the machine may stand still
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if done.stdout.endswith("True\n"):
            break
    assert (done.stdout, done.stderr) == ("ParserTimeout ParserCrashed ParserTimeout 10 True\n", "")


def test_child_side_answers_a_request() -> None:
    head = {"media_type": "text/markdown", "loader": None}
    assert service.handle(head, b"# A\ntext") == ({"title": "A", "pages": (), "warnings": ()}, b"# A\ntext")
    empty = {"error": "UnreadableDocument", "detail": "The document has no text.", "cause": None}
    assert service.handle(head, b"")[0] == empty
    answer, text = service.handle({"media_type": "x", "loader": "no_such_library:Loader"}, b"")
    assert (answer["error"], text) == ("MissingLibrary", b"")


def test_child_side_receives_exactly_what_is_asked_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"abcdef")
        assert service.receive(ours, 4) == b"abcd"
        theirs.close()
        with pytest.raises(EOFError):
            service.receive(ours, 4)
