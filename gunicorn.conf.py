"""gunicorn's settings where it looks for them by itself: `gunicorn wsgi:app` serves as `make run` does."""

from importlib import util
from pathlib import Path

SETTINGS = Path(__file__).resolve().parent / "chatbot" / "server.py"

_spec = util.spec_from_file_location("chatbot_server", SETTINGS)
if _spec is None or _spec.loader is None:
    raise FileNotFoundError(SETTINGS)
_server = util.module_from_spec(_spec)
_spec.loader.exec_module(_server)
globals().update({name: value for name, value in vars(_server).items() if not name.startswith("_")})
