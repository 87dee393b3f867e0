"""What goes wrong with a model. The texts are ours: a server's words or keys are never repeated."""


class LLMError(Exception):
    """No answer, or not a whole one. `retry_after` is in seconds, where the server named it."""

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class ModelUnavailable(LLMError):
    """The configured model does not exist, or none is configured or installed."""


class UpstreamUnreachable(LLMError):
    """No connection: refused, no such host, or TLS failed."""


class UpstreamDown(LLMError):
    """The server failed again and again, and is left alone for a while."""


class UpstreamTimeout(LLMError):
    """It took too long: to begin, between two pieces, or as a whole."""


class UpstreamBusy(LLMError):
    """The server asks to come back later."""


class UpstreamQuotaExhausted(LLMError):
    """The account at the server has no credit left."""


class UpstreamDenied(LLMError):
    """The server does not accept our key."""


class UpstreamRefused(LLMError):
    """The server refuses this request as such; the same again would be refused again."""


class UpstreamFailed(LLMError):
    """The server failed, before or in the middle of its answer."""


class UpstreamIncomplete(LLMError):
    """The answer ended without saying that it was whole."""


class UpstreamGarbled(LLMError):
    """What came was no answer: not JSON, not UTF-8, not the protocol, or a line beyond all bounds."""


class Aborted(LLMError):
    """We ended the answer ourselves: that says nothing of the server."""


class UnknownAdapter(LLMError):
    """No adapter has this name."""


class MissingLibrary(LLMError):
    """The adapter's library is not installed; the text has the pip line."""
