"""The blueprint that every door is made of: flask-smorest's with the strict entry."""

import flask_smorest

from .body import StrictParser


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose arguments pass the strict JSON entry."""

    ARGUMENTS_PARSER = StrictParser()
