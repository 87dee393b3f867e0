"""A document out of a request: a file with form fields, or JSON with a text or an address."""

from typing import Any

from flask import current_app, request
from marshmallow import Schema, ValidationError
from werkzeug.datastructures import FileStorage

from chatbot.errors import Forbidden, InvalidInput, MalformedBody
from chatbot.rag.loaders import sniffing
from chatbot.schemas.knowledge import DescriptionSchema, NewDocumentSchema
from chatbot.services.knowledge import content as storage
from chatbot.services.knowledge import metadata
from chatbot.services.knowledge.content import Content

from . import json_body as body

FORM = 1 << 20  # bytes that the other fields of a form may have
FILE = {"type": "string", "format": "binary"}
DOCUMENT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": NewDocumentSchema},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": FILE,
                        "title": {"type": "string"},
                        "collection_id": {"type": "string", "format": "uuid"},
                        "external_id": {"type": "string"},
                        "metadata": {"type": "string", "description": "As JSON."},
                    },
                }
            },
        },
    }
}

_json = NewDocumentSchema()
_form = DescriptionSchema()


def received() -> tuple[Content, dict[str, Any]]:
    """Return the content of the uploaded document, and its fields.

    Raises InvalidInput, MalformedBody, UnsupportedMediaType, DocumentTooLarge, Forbidden for an address where none may
    be fetched, and `rag.errors.TypeMismatch`, `UnsupportedType` for a file.
    """
    content, said = _from_form() if request.mimetype == "multipart/form-data" else _from_json()
    if "metadata" in said:
        metadata.check(said["metadata"])
    return content, said


def _from_form() -> tuple[Content, dict[str, Any]]:
    request.max_content_length = current_app.config["DOCUMENT_BYTES"] + FORM
    file = request.files.get("file")
    if file is None:
        raise InvalidInput({"file": ["Missing data for required field."]})
    given: dict[str, Any] = request.form.to_dict()
    if "metadata" in given:
        try:
            given["metadata"] = body.parse(given["metadata"].encode())
        except MalformedBody as error:
            raise InvalidInput({"metadata": ["Not a strict JSON object."]}) from error
    body.check_texts(given)
    said = _loaded(_form, given)
    pieces = _pieces(file)
    name = file.filename or ""
    media_type = sniffing.media_type(name, b"".join(pieces))
    return Content(said.get("title") or sniffing.title(name), media_type, pieces), said


def _from_json() -> tuple[Content, dict[str, Any]]:
    given = body.json_body()
    body.refuse_many_unknown(given, _json)
    said = _loaded(_json, given)
    if "url" not in said:
        return Content(said["title"], "text/plain", storage.cut(said["text"].encode())), said
    if current_app.config["APP_ENV"] == "production" and not current_app.config["INGEST_HOSTS"]:
        raise Forbidden("Addresses are not fetched here; send the document itself.")
    return Content(said.get("title") or said["url"][:255], "text/html", (), said["url"]), said


def _loaded(schema: Schema, given: dict[str, Any]) -> dict[str, Any]:
    try:
        said: dict[str, Any] = schema.load(given)
    except ValidationError as error:
        raise InvalidInput(body.flatten(error.messages)) from error
    return said


def _pieces(file: FileStorage) -> tuple[bytes, ...]:
    pieces = []
    size = 0
    while piece := file.stream.read(storage.PIECE):
        pieces.append(piece)
        size += len(piece)
    storage.require_size(size)
    if not size:
        raise InvalidInput({"file": ["Is empty."]})
    return tuple(pieces)
