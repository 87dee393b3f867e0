"""The blueprint that every door is made of: flask-smorest's with the strict entry and named operations."""

from collections.abc import Callable
from typing import Any

import flask_smorest

from . import problems
from .json_body import StrictParser


class Blueprint(flask_smorest.Blueprint):
    """A blueprint with arguments that pass the strict JSON entry."""

    ARGUMENTS_PARSER = StrictParser()

    def route(self, rule: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        """Decorate a view with its rule; generated clients call the operation as the view is called."""
        register = super().route(rule, **options)

        def decorator(view: Callable[..., Any]) -> Any:
            first, *others = view.__name__.split("_")
            operation_id = first + "".join(map(str.capitalize, others))
            return register(problems.document(operationId=operation_id)(view))

        return decorator

    def arguments(self, schema: Any, **options: Any) -> Any:
        """Decorate a view with the schema of its arguments, which is made once."""
        return super().arguments(schema(), **options)
