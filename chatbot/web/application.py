"""The Flask application class."""

from collections.abc import Callable
from typing import Any

from flask import Flask


class Application(Flask):
    """Flask without asynchronous views: the check for them takes 2 us for each of 16 functions in a request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func
