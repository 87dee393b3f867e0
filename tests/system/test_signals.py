"""Signals to a server that is starting, and obstacles to its start."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.processes import Server
from tests.support.waiting import let_pass, wait_for

BOOTING = "Booting worker"
SLOW = "a slow fork"
SLOW_FORK = f"""
import time
from gunicorn import util

def slow(title, set_title=util._setproctitle):
    set_title(title)
    if title.startswith("worker"):
        print({SLOW!r}, flush=True)
        time.sleep(2)

util._setproctitle = slow
"""
SETTINGS = {"LLM": "memory", "EMBEDDER": "memory"}


@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "arbiter"])
@pytest.mark.parametrize("after", [0.0, 0.2, 0.5, 1.0, 1.5, 2.0])
def test_interrupt_while_a_worker_boots_ends_everything(tmp_path: Path, after: float, to_all: bool) -> None:
    server = Server(tmp_path, **SETTINGS).prepare()
    server.spawn()
    try:
        wait_for(lambda: BOOTING in server.log())
        let_pass(after)
        workers = server.workers()
        (os.killpg if to_all else os.kill)(server.process.pid, signal.SIGINT)
        assert server.process.wait(15) == 0  # a signal that was lost cost a minute
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
        assert "Traceback" not in server.log()
        assert "SIGKILL" not in server.log()
    finally:
        server.kill()


def test_interrupt_between_fork_and_handlers_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_FORK)
    server = Server(tmp_path, **SETTINGS, PYTHONPATH=str(tmp_path)).prepare()
    server.spawn()
    try:
        wait_for(lambda: SLOW in server.log())
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(15) == 0
    finally:
        server.kill()


def test_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    server = Server(tmp_path, **SETTINGS).prepare()
    with socket.create_server(("127.0.0.1", server.port)):
        server.spawn()
        assert server.process.wait(30) == os.EX_CONFIG
    said = f"PORT: 127.0.0.1 port {server.port} cannot be had: Address already in use."
    assert server.log().splitlines()[1:] == [said]  # after "Starting gunicorn"


def test_port_that_is_let_go_is_waited_for(tmp_path: Path) -> None:
    server = Server(tmp_path, **SETTINGS).prepare()
    with socket.create_server(("127.0.0.1", server.port)):
        server.spawn()
        let_pass(2)
    try:
        wait_for(lambda: "Chatbot API listens" in server.log() or server.process.poll() is not None)
        assert server.call("GET", "/healthz")[0] == 200
    finally:
        server.stop()
