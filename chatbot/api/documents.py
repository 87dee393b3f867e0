"""Routes for documents."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from flask import Flask, Response, g

from chatbot.errors import ChatbotError
from chatbot.schemas import events, problem
from chatbot.schemas.knowledge import (
    ChunkListSchema,
    DocumentListSchema,
    DocumentSchema,
    DocumentsQuerySchema,
    PageSchema,
)
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import execution
from chatbot.services.knowledge import collections, documents, records
from chatbot.services.knowledge.state import get_knowledge_state
from chatbot.web import admission, authentication, idempotency, pagination, problems, rate_limits, sse, uploads
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("documents", __name__, url_prefix="/api/documents", description="What is searched")

FINAL_STATUSES = {"ready", "failed"}
Answer = tuple[records.Document, int, dict[str, str]]

_documents = DocumentSchema()


@blueprint.route("/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(DocumentsQuerySchema, location="query")
@blueprint.response(200, DocumentListSchema)
def list_documents(query: dict[str, Any]) -> dict[str, Any]:
    """List the documents that the caller may read, by time."""
    return pagination.page(documents.list_documents, query, authentication.current())


@blueprint.route("/", methods=["POST"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_DOCUMENT_USER=by_user)
@problems.document(400, 403, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT], **uploads.DOCUMENT)
@blueprint.response(202, DocumentSchema)
@blueprint.alt_response(200, schema=DocumentSchema, success=True)
def create_document() -> Answer:
    """Send a document; the same content again is the same document."""
    caller = authentication.current()
    upload = uploads.read_upload()
    key = idempotency.read_key({**upload.fields, "hash": (upload.content.hash() or b"").hex()})
    queued = documents.create(
        caller,
        upload.content,
        upload.collection_id or collections.ensure_default(caller),
        external_id=upload.external_id,
        details=upload.metadata,
        key=key,
    )
    location = f"{blueprint.url_prefix}/{queued.document.id}/"
    return queued.document, 202 if queued.is_new else 200, {"Location": location}


@blueprint.route("/<uuid:document_id>/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(404, 503)
@blueprint.response(200, DocumentSchema)
def get_document(document_id: UUID) -> records.Document:
    """Show a document and how far it is."""
    return documents.get(authentication.current(), document_id)


@blueprint.route("/<uuid:document_id>/", methods=["PUT"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_DOCUMENT_USER=by_user)
@problems.document(400, 403, 404, 413, 415, 503, **uploads.DOCUMENT)
@blueprint.response(202, DocumentSchema)
def replace_document(document_id: UUID) -> records.Document:
    """Send a new version of a document; until it is whole, the old one answers."""
    upload = uploads.read_upload()
    return documents.replace(
        authentication.current(),
        document_id,
        upload.content,
        details=upload.metadata,
        collection_id=upload.collection_id,
        external_id=upload.external_id,
    )


@blueprint.route("/<uuid:document_id>/", methods=["DELETE"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(403, 404, 503)
@blueprint.response(204)
def delete_document(document_id: UUID) -> None:
    """Delete a document; nothing of it is found any more, at once."""
    documents.delete(authentication.current(), document_id)


@blueprint.route("/<uuid:document_id>/retry/", methods=["POST"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_DOCUMENT_USER=by_user)
@problems.document(403, 404, 409, 503)
@blueprint.without_fields
@blueprint.response(202, DocumentSchema)
def retry_document(document_id: UUID) -> records.Document:
    """Try a document that failed once more."""
    return documents.retry(authentication.current(), document_id)


@blueprint.route("/<uuid:document_id>/chunks/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, ChunkListSchema)
def list_chunks(query: dict[str, Any], document_id: UUID) -> dict[str, Any]:
    """List the passages of a document as they are searched."""
    caller = authentication.current()
    after = pagination.decode_position(query.get("cursor"))
    admission.enter_page(caller.user_id)
    page = documents.list_chunks(caller, document_id, limit=query["limit"], after=after)
    last = page.last_position
    return {"items": page.items, "next_cursor": None if last is None else pagination.encode_position(last)}


@blueprint.route("/<uuid:document_id>/events/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503, parameters=[sse.LAST_EVENT_ID])
@blueprint.alt_response(204, success=True)
@blueprint.response(200, events.DOCUMENT_EVENTS, content_type=sse.MEDIA_TYPE)
def follow_document(document_id: UUID) -> Response:
    """Follow a document until it is ready or has failed."""
    caller = authentication.current()
    if sse.read_last_event().is_end:
        return sse.nothing_to_come()
    admission.enter_stream(caller.user_id)
    app = get_knowledge_state().app
    document = documents.get(caller, document_id)
    return sse.response(_events(app, caller, document, g.get("request_id", "")))


def _events(app: Flask, caller: Caller, document: records.Document, request_id: str) -> Iterator[bytes]:
    position = 0
    with app.app_context():
        watch = documents.watch()
    while True:
        yield sse.format_event(b"progress", _documents.dump(document), position)
        position += 1
        if document.status in FINAL_STATUSES:
            yield sse.format_event(b"done", _documents.dump(document), position, is_last=True)
            return
        try:
            while not watch.wait(document.id, (document.status, document.progress), sse.CHECK_INTERVAL_SECONDS):
                yield sse.HEARTBEAT
                with app.app_context():
                    sse.require_open(caller)
                    if execution.is_draining():
                        return
            with app.app_context():
                sse.require_open(caller)
                document = documents.get(caller, document.id)
        except ChatbotError as error:
            address = f"{blueprint.url_prefix}/{document.id}/"
            body = problems.body(problem.of(error), error.detail, address, request_id)
            yield sse.format_problem(body, position)
            return
