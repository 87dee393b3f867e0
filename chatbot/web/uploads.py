"""A document out of a request: a file with form fields, or JSON with a text or an address."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import current_app, request
from marshmallow import Schema, ValidationError
from werkzeug.datastructures import FileStorage

from chatbot.errors import Forbidden, InvalidInput, MalformedBody
from chatbot.rag.loaders import sniffing
from chatbot.schemas.fields import build_example
from chatbot.schemas.knowledge import DescriptionSchema, NewDocumentSchema
from chatbot.services.knowledge import content, metadata
from chatbot.services.knowledge.content import Content

from . import json_body as body

MAX_FIELDS_BYTES = 1 << 20  # bytes that the other fields of a form may have
FILE = {"type": "string", "format": "binary"}
DOCUMENT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": NewDocumentSchema, "example": build_example(NewDocumentSchema())},
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


@dataclass(frozen=True, slots=True)
class Upload:
    """The content of an uploaded document, and its validated other fields."""

    content: Content
    fields: dict[str, Any]

    @property
    def collection_id(self) -> UUID | None:
        """The collection that it is for."""
        return self.fields.get("collection_id")

    @property
    def external_id(self) -> str | None:
        """The caller's own name of it."""
        return self.fields.get("external_id")

    @property
    def metadata(self) -> dict[str, Any] | None:
        """Its metadata, None where none was sent."""
        return self.fields.get("metadata")


def read_upload() -> Upload:
    """Return the uploaded document.

    Raises InvalidInput, MalformedBody, UnsupportedMediaType, DocumentTooLarge, Forbidden for an address where none may
    be fetched, and `rag.errors.TypeMismatch`, `UnsupportedType` for a file.
    """
    body.refuse_packed()
    upload = _from_form() if request.mimetype == "multipart/form-data" else _from_json()
    if upload.metadata is not None:
        metadata.check(upload.metadata)
    return upload


def _from_form() -> Upload:
    request.max_content_length = current_app.config["DOCUMENT_BYTES"] + MAX_FIELDS_BYTES
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
    fields = _load(_form, given)
    pieces = _pieces(file)
    name = file.filename or ""
    media_type = sniffing.media_type(name, b"".join(pieces))
    return Upload(Content(fields.get("title") or sniffing.title(name), media_type, pieces), fields)


def _from_json() -> Upload:
    given = body.json_body()
    body.refuse_many_unknown(given, _json)
    fields = _load(_json, given)
    if "url" not in fields:
        return Upload(
            Content(fields["title"], "text/plain", content.split_into_pieces(fields["text"].encode())), fields
        )
    if current_app.config["APP_ENV"] == "production" and not current_app.config["INGEST_HOSTS"]:
        raise Forbidden("Addresses are not fetched here; send the document itself.")
    url = fields["url"]
    return Upload(Content(fields.get("title") or url[:255], "text/html", (), url), fields)


def _load(schema: Schema, given: dict[str, Any]) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = schema.load(given)
    except ValidationError as error:
        raise InvalidInput(body.flatten(error.messages)) from body.without_frames(error)
    return fields


def _pieces(file: FileStorage) -> tuple[bytes, ...]:
    pieces = []
    size = 0
    while piece := file.stream.read(content.PIECE_BYTES):
        pieces.append(piece)
        size += len(piece)
    content.require_size(size)
    if not size:
        raise InvalidInput({"file": ["Is empty."]})
    return tuple(pieces)
