"""Collections, documents, passages and searches."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_dump, validates_schema
from marshmallow.validate import Length, OneOf, Range, Regexp

from . import problem
from .chat import MAX_COLLECTIONS, CitationSchema
from .fields import CURSOR, LIMIT, NO_NUL, BoundedDict, BoundedList, Moment, to_dict
from .problem import TurnErrorSchema

MAX_TEXT_LENGTH = 1_000_000
MAX_QUERY_LENGTH = 4_000
STATUSES = ["queued", "processing", "ready", "failed"]
CODE_ERROR = "Not an ISO 639-1 code, such as en."
# The length too: `$` also matches before a newline, and JSON's patterns know no other end.
LANGUAGE_CODE = [Length(equal=2, error=CODE_ERROR), Regexp("^[a-z]{2}$", error=CODE_ERROR)]
LANGUAGE = {"description": "ISO 639-1; without it each document's is detected."}


class CollectionSchema(Schema):
    """A collection as its readers see it."""

    id = fields.UUID(required=True)
    owner_id = fields.UUID(required=True, allow_none=True, metadata={"description": "null: the operator's"})
    name = fields.String(required=True)
    description = fields.String(required=True)
    visibility = fields.String(required=True, metadata={"enum": ["private", "shared"]})
    language = fields.String(required=True, allow_none=True)
    is_default = fields.Boolean(required=True)
    bytes = fields.Integer(required=True)
    chunks = fields.Integer(required=True)
    created_at = Moment(required=True)
    updated_at = Moment(required=True)


class CollectionChangeSchema(Schema):
    """The fields of a collection that its owner may set; all users may read `shared` ones."""

    name = fields.String(validate=Length(1, 120), metadata=NO_NUL | {"example": "Handbook"})
    description = fields.String(validate=Length(max=4_000), metadata=NO_NUL)
    visibility = fields.String(validate=OneOf(["private", "shared"]))
    language = fields.String(validate=LANGUAGE_CODE, allow_none=True, metadata=LANGUAGE)


class NewCollectionSchema(CollectionChangeSchema):
    """A new collection."""

    name = fields.String(required=True, validate=Length(1, 120), metadata=NO_NUL | {"example": "Handbook"})


class MemberSchema(Schema):
    """A member of a collection, or a user with an open invitation to it."""

    user_id = fields.UUID(required=True)
    username = fields.String(required=True)
    role = fields.String(required=True, metadata={"enum": ["reader", "writer"]})
    state = fields.String(required=True, metadata={"enum": ["invited", "accepted"]})


class InvitationSchema(Schema):
    """An invitation to a collection; its id is that of the collection, of which it tells nothing else."""

    id = fields.UUID(required=True)
    role = fields.String(required=True, metadata={"enum": ["reader", "writer"]})
    invited_by = fields.String(
        required=True, allow_none=True, metadata={"description": "The owner's username; null: the operator."}
    )
    invited_at = Moment(required=True)


class MemberRoleSchema(Schema):
    """A member's role in a collection."""

    role = fields.String(required=True, validate=OneOf(["reader", "writer"]), metadata={"example": "reader"})


class PageSchema(Schema):
    """Which page of a list."""

    class Meta:
        unknown = "exclude"

    limit = fields.Integer(load_default=50, validate=Range(1, 100), metadata=LIMIT)
    cursor = fields.String(validate=Length(1, 200), metadata=CURSOR)


class DocumentsQuerySchema(PageSchema):
    """Which documents."""

    collection_id = fields.UUID(metadata={"description": "The documents of this collection alone."})
    status = fields.String(validate=OneOf(STATUSES), metadata={"description": "The documents in this state alone."})
    external_id = fields.String(validate=Length(1, 255), metadata={"description": "The document of this name alone."})


class DescriptionSchema(Schema):
    """The fields of a document besides its content."""

    title = fields.String(validate=Length(1, 255), metadata=NO_NUL | {"example": "Opening hours"})
    collection_id = fields.UUID()
    external_id = fields.String(validate=Length(1, 255), metadata=NO_NUL)
    metadata = BoundedDict(
        keys=fields.String(), metadata={"description": "Texts, numbers, true, false, or lists of those; for filters."}
    )


class NewDocumentSchema(DescriptionSchema):
    """A document as a text, or as the address of one."""

    text = fields.String(validate=Length(1, MAX_TEXT_LENGTH), metadata=NO_NUL | {"example": "We are open from 9 to 5."})
    url = fields.String(
        validate=[Length(1, 2_000), Regexp("(?i)https?://", error="Must begin with http:// or https://.")],
        metadata=NO_NUL,
    )

    @validates_schema
    def check_content(self, data: dict[str, Any], **_: Any) -> None:
        """Want a text with its title, or an address."""
        if ("text" in data) == ("url" in data):
            raise ValidationError("Send either text or url.", "text")
        if "text" in data and "title" not in data:
            raise ValidationError("Missing data for required field.", "title")


class DocumentSchema(Schema):
    """A document and how far it is."""

    id = fields.UUID(required=True)
    collection_id = fields.UUID(required=True)
    external_id = fields.String(required=True, allow_none=True)
    title = fields.String(required=True)
    media_type = fields.String(required=True)
    bytes = fields.Integer(required=True)
    version = fields.Integer(required=True, metadata={"description": "The one that is searched; 0: none yet."})
    status = fields.String(required=True, metadata={"enum": STATUSES})
    progress = fields.Float(required=True)
    chunks = fields.Integer(required=True)
    error = fields.Nested(TurnErrorSchema)
    warnings = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "What was not read or has no vectors, a sentence each."},
    )
    metadata = fields.Dict(required=True)
    created_at = Moment(required=True)
    updated_at = Moment(required=True)

    @pre_dump
    def nest(self, document: Any, **_: Any) -> dict[str, Any]:
        """Return the problem of an error from the table, with the reason of this document as its title."""
        shown = to_dict(document)
        if shown.pop("error") is not None:
            facts = problem.named(document.error)
            title = document.reason or facts.title
            shown["error"] = {"code": facts.code, "title": title, "retryable": facts.retryable}
        return shown


class ChunkSchema(Schema):
    """A passage as it is searched."""

    position = fields.Integer(required=True)
    start = fields.Integer(required=True)
    end = fields.Integer(required=True)
    page = fields.Integer(required=True, allow_none=True)
    headings = fields.List(fields.String(), required=True)
    columns = fields.String(
        required=True, metadata={"description": "The row of names of the table in whose middle the passage begins."}
    )
    language = fields.String(required=True)
    text = fields.String(required=True)

    @pre_dump
    def split(self, chunk: Any, **_: Any) -> dict[str, Any]:
        """Show the path of headings as a list."""
        return {**to_dict(chunk), "headings": chunk.headings.split("\n") if chunk.headings else []}


class SearchSchema(Schema):
    """A search."""

    query = fields.String(
        required=True, validate=Length(1, MAX_QUERY_LENGTH), metadata=NO_NUL | {"example": "When are you open?"}
    )
    limit = fields.Integer(
        load_default=10, strict=True, validate=Range(1, 100), metadata={"description": "Passages (10)."}
    )
    collection_ids = BoundedList(fields.UUID(), Length(1, MAX_COLLECTIONS))
    filter = BoundedDict(
        keys=fields.String(validate=Length(1, 64)),
        metadata={"description": 'On metadata: `{"year": {"gte": 2020}, "tag": "policy"}`.'},
    )
    per_document = fields.Integer(
        strict=True,
        validate=Range(1, 100),
        metadata={"description": "Passages of one document before those of others have had their turn (3)."},
    )


class FoundSchema(CitationSchema):
    """A passage that was found: a citation without marker, with its rank on both sides."""

    lexical_rank = fields.Integer(required=True, allow_none=True)
    dense_rank = fields.Integer(required=True, allow_none=True)


class FoundListSchema(Schema):
    """Passages, best first."""

    items = fields.List(fields.Nested(FoundSchema), required=True)
    notes = fields.List(fields.String(), required=True, metadata={"description": "What did not go as it should."})


class CandidateSchema(FoundSchema):
    """A passage that was looked at for a prompt, and why it was left out."""

    lexical_score = fields.Float(required=True, allow_none=True)
    dense_score = fields.Float(required=True, allow_none=True)
    dropped = fields.String(required=True, allow_none=True)


class SummaryRecordSchema(Schema):
    """A summary that a prompt showed: the place of the last turn that it covers, and how many it covers."""

    last_sequence = fields.Integer(required=True)
    turns = fields.Integer(required=True)


class ContextSchema(Schema):
    """The earlier turns that a prompt showed."""

    repeated_turns = fields.Integer(required=True)
    first_repeated_turn_id = fields.UUID(required=True, allow_none=True)
    summary = fields.Nested(SummaryRecordSchema, required=True, allow_none=True)
    quoted_turn_ids = fields.List(fields.UUID(), required=True)


class TraceSchema(Schema):
    """Why a turn was answered as it was."""

    retrieval_query = fields.String(required=True, allow_none=True)
    candidates = fields.List(fields.Nested(CandidateSchema), required=True)
    dropped = fields.Dict(required=True)
    notes = fields.List(fields.String(), required=True)
    prompt_tokens = fields.Dict(required=True)
    tries = fields.List(fields.Dict(), required=True)
    milliseconds = fields.Dict(required=True)
    context = fields.Nested(ContextSchema, required=True, allow_none=True)


def listed(schema: type[Schema]) -> type[Schema]:
    """Return the schema of one page of something."""
    made: type[Schema] = Schema.from_dict(
        {
            "items": fields.List(fields.Nested(schema), required=True),
            "next_cursor": fields.String(required=True, allow_none=True),
        },
        name=schema.__name__.replace("Schema", "ListSchema"),
    )
    return made


CollectionListSchema = listed(CollectionSchema)
MemberListSchema = listed(MemberSchema)
InvitationListSchema = listed(InvitationSchema)
DocumentListSchema = listed(DocumentSchema)
ChunkListSchema = listed(ChunkSchema)
