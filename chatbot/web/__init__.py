"""HTTP plumbing that all entry points share."""

from flask import Flask

from . import admission, application, problems, rate_limits, request_log


def init_app(app: Flask) -> None:
    """Set up the handlers of every request, in the order of their calls."""
    request_log.init_app(app)
    application.init_app(app)
    admission.init_app(app)
    rate_limits.init_app(app)
    problems.init_app(app)
