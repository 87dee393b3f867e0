"""The blueprint that every door is made of: flask-smorest's with the strict entry."""

from typing import Any

import flask_smorest

from .json_body import StrictParser


class Blueprint(flask_smorest.Blueprint):
    """A blueprint with arguments that pass the strict JSON entry."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(self, schema: Any, **options: Any) -> Any:
        """Decorate a view with the schema of its arguments, which is made once."""
        return super().arguments(schema(), **options)
