"""Points at which a test lets the process die, once: FAILPOINT names the point, FAILPOINT_FILE a file that arms it.

Every durable step has two, without being told: `services.transactions.write` names them. Only with APP_ENV=testing.
"""

import os
from pathlib import Path

EXIT_STATUS = 86
NAME = os.environ.get("FAILPOINT", "") if os.environ.get("APP_ENV") == "testing" else ""


def reach(name: str) -> None:
    """Die here when a test says so; nothing is flushed, nothing is closed."""
    if name == NAME:
        try:
            Path(os.environ["FAILPOINT_FILE"]).unlink()
        except FileNotFoundError:
            return
        os._exit(EXIT_STATUS)
