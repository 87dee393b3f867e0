"""The blueprint that every entry point is made of: flask-smorest's with the strict entry and operations for generators.

Each operation of the API document has a name, a description that says which credential it needs, and an example of its
body that works as it is; each parameter of its path is described.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import flask_smorest
from apispec import APISpec
from flask import Flask
from flask_smorest.spec.plugins import RE_URL

from chatbot.schemas import events
from chatbot.schemas.fields import build_example

from . import json_body, problems

NO_CREDENTIAL = "Needs no credential."
PATH_PARAMETERS = {
    "chat_id": "The chat's id: its conversation's `external_id` or `id`.",
    "collection_id": "The collection's `id`.",
    "conversation_id": "The conversation's `id`.",
    "document_id": "The document's `id`.",
    "invitation_id": "The invitation's `id`, which is that of its collection.",
    "invite_id": "The invite's `id`; not its token.",
    "key_id": "The API key's `id`; not its secret.",
    "message_id": "The message's `id`.",
    "name": "The model's `id`; it may contain slashes.",
    "receipt_id": "The receipt's `receipt_id`.",
    "room_id": "The room's `id`.",
    "session_id": "The session's `id`.",
    "share_id": "The share's `id`; not its token.",
    "token": "The share's `token`.",
    "turn_id": "The turn's `id`.",
    "user_id": "The member's `user_id`.",
}


class Blueprint(flask_smorest.Blueprint):
    """A blueprint with arguments that pass the strict JSON entry."""

    ARGUMENTS_PARSER = json_body.StrictParser()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._prepare_doc_cbks += [_make_example, _add_credential, _add_parameters]  # as flask-smorest's mixins do

    def route(self, rule: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        """Decorate a view with its rule; generated clients call the operation as the view is called."""
        parameters = [
            {"in": "path", "name": name, "description": PATH_PARAMETERS[name]} for name in RE_URL.findall(rule)
        ]
        register = super().route(rule, parameters=parameters, **options)

        def decorator(view: Callable[..., Any]) -> Any:
            first, *others = view.__name__.split("_")
            operation_id = first + "".join(map(str.capitalize, others))
            return register(problems.document(operationId=operation_id)(view))

        return decorator

    def arguments(self, schema: Any, **options: Any) -> Any:
        """Decorate a view with the schema of its arguments, which is made once.

        `example` is a body that works, by default of the examples of its fields, or a function that returns it when the
        operation is described.
        """
        made = schema()
        if "location" not in options:
            options.setdefault("example", build_example(made))
        return super().arguments(made, **options)

    def without_fields(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a view that writes and takes no fields: those of a body are refused, as unknown ones are."""

        @wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            json_body.refuse_fields()
            return view(*args, **kwargs)

        return problems.document(400, 413, 415)(checked)

    def register_views_in_doc(self, api: Any, app: Flask, spec: APISpec, **options: Any) -> None:
        """Describe the operations, and the events of streams to which they refer."""
        for name, component in events.COMPONENTS.items():
            if name not in spec.components.schemas:
                spec.components.schema(name, component)
        super().register_views_in_doc(api, app, spec, **options)


def _make_example(operation: dict[str, Any], _: dict[str, Any], *, app: Flask, **__: Any) -> dict[str, Any]:
    """Call the function that makes an operation's example."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if callable(content.get("example")):
            with app.app_context():
                content["example"] = content["example"]()
    return operation


def _add_credential(operation: dict[str, Any], info: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add which credential an operation needs to its description: `authentication.required` says it."""
    texts = (info["docstring"].get("description"), info["manual_doc"].pop("description", NO_CREDENTIAL))
    info["docstring"]["description"] = "\n\n".join(filter(None, texts))
    return operation


def _add_parameters(operation: dict[str, Any], info: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the headers of `problems.document` to the parameters of a query, which they would replace."""
    if parameters := info["manual_doc"].pop("parameters", ()):
        operation["parameters"] = [*operation.get("parameters", ()), *parameters]
    return operation
