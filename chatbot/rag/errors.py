"""Errors of adapters and documents. The texts are ours: a server's words or keys are never repeated."""

# Raised where a server's answer is read that is not of the protocol: nested too deeply, a number without end.
MALFORMED_ANSWER = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class AdapterError(Exception):
    """A model, store, index or reranker failed. `retry_after` is in seconds, where the server named it."""

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class ModelUnavailable(AdapterError):
    """The configured model does not exist, or none is configured or installed."""


class UpstreamUnreachable(AdapterError):
    """No connection: refused, no such host, or TLS failed."""


class UpstreamDown(AdapterError):
    """The server failed again and again, and is left alone for a while."""


class UpstreamTimeout(AdapterError):
    """It took too long: to begin, between two pieces, or as a whole."""


class UpstreamBusy(AdapterError):
    """The server asks to come back later."""


class UpstreamQuotaExhausted(AdapterError):
    """The account at the server has no credit left."""


class UpstreamDenied(AdapterError):
    """The server does not accept our key."""


class UpstreamRefused(AdapterError):
    """The server refuses this request as such; the same again would be refused again."""


class ParameterRefused(UpstreamRefused):
    """The model does not take a parameter without which the answer would be another one, such as `tools`."""


class PromptTooLong(UpstreamRefused):
    """The prompt has more tokens than the model takes."""


class UpstreamFailed(AdapterError):
    """The server failed, before or in the middle of its answer."""


class UpstreamIncomplete(AdapterError):
    """The answer ended without saying that it was whole."""


class UpstreamGarbled(AdapterError):
    """The answer was garbled: not JSON, not UTF-8, not the protocol, or a line beyond all bounds."""


class Aborted(AdapterError):
    """We ended the answer ourselves: that says nothing of the server."""


class UnknownAdapter(AdapterError):
    """No adapter has this name."""


class MissingLibrary(AdapterError):
    """The adapter's library is not installed; the text has the pip line."""


class EmbedderError(AdapterError):
    """The embedder did not give vectors."""


class EmbeddingsMissing(EmbedderError):
    """The server has no embeddings, or none of this model: asking it again is of no use."""


class DimensionChanged(EmbedderError):
    """The server has another model of the same name now: asking it again is of no use."""


class TextRefused(EmbedderError):
    """The embedder gives no vector for one of these texts, and may give one for others."""


class RerankerError(AdapterError):
    """The reranker did not judge."""


class StoreFailed(AdapterError):
    """The vector store did not answer."""


class StoreFenced(StoreFailed):
    """Another process holds this collection's lease: a late change is refused. `fence` is its token."""

    def __init__(self, collection: str, fence: int) -> None:
        super().__init__(collection)
        self.fence = fence


class StoreForgot(StoreFailed):
    """The vector store does not know (any more) a collection that it was told of."""


class DocumentError(Exception):
    """A document that cannot be taken in; the text is for its owner."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after: float | None = None


class UnreadableDocument(DocumentError):
    """The file's content cannot be read as its media type."""


class UnsupportedType(DocumentError):
    """No loader reads files of this type."""


class TypeMismatch(DocumentError):
    """A file's content differs from its name's type."""


class ParserCrashed(DocumentError):
    """The process that reads documents ended over this one, or needed too much memory."""


class ParserTimeout(DocumentError):
    """The process that reads documents took too long over this one."""


class AddressRefused(DocumentError):
    """A document's address may not be fetched, or could not be.

    All reasons have this one sentence: answers that differ would tell the caller what there is in our network. The
    cause (`__cause__`) says more and is for the log alone.
    """

    def __init__(self) -> None:
        super().__init__("This address cannot be fetched.")


class IndexFailed(AdapterError):
    """A search index cannot be used."""


class IndexLocked(IndexFailed):
    """Another process writes this index; here it can only be read."""


class IndexBroken(IndexFailed):
    """The index cannot be read, or is of another version: it has to be built anew from the tables."""
