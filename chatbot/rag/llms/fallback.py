"""One model made of several: retries before the first piece, a circuit breaker for each, and the next in line."""

import threading
import time
from collections.abc import Iterator, Sequence

import tenacity
from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from chatbot.rag.errors import (
    AdapterError,
    ModelUnavailable,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamDown,
    UpstreamFailed,
    UpstreamQuotaExhausted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from chatbot.rag.ports import LLM
from chatbot.rag.types import Attempt, CompletionRequest, Finish

SECOND_TRY = (UpstreamUnreachable, UpstreamBusy, UpstreamFailed)  # what may be over in a moment
BREAKER_ERRORS = (UpstreamUnreachable, UpstreamTimeout, UpstreamFailed)  # what the breaker counts
FAULTS = (*BREAKER_ERRORS, ModelUnavailable, UpstreamDenied, UpstreamQuotaExhausted)  # of the server, for any request
MAX_IN_PLACE_SECONDS = 2.0  # seconds; a Retry-After beyond it is the caller's to wait
JITTER = tenacity.wait_random_exponential(multiplier=0.2, max=2.0)  # seconds; so that not all come back at once


class FallbackLLM:
    """Asks one model after the other until one begins to answer; an answer that began is never restarted.

    Those that are `selectable` are asked only where a request names them, and the others after them.
    """

    def __init__(
        self,
        models: Sequence[LLM],
        *,
        retries: int,
        breaker_failures: int,
        breaker_seconds: float,
        selectable: Sequence[LLM] = (),
    ) -> None:
        self.models = models
        self.selectable = selectable
        self.name = models[0].name
        self._retries = retries
        breakers = SyncCircuitBreakerFactory(breaker_failures, breaker_seconds)
        guarded = [_Guarded(model, breakers, str(number)) for number, model in enumerate([*models, *selectable])]
        self._guarded = guarded[: len(models)]
        self._selectable = guarded[len(models) :]

    def breakers(self) -> dict[str, bool]:
        """Return by model whether its breaker is open: it is skipped for now."""
        return {guarded.name: guarded.is_open for guarded in (*self._guarded, *self._selectable)}

    def probe(self) -> None:
        """Ask the server of each model whether it answers, for `faults`."""
        for guarded in self._guarded:
            guarded.probe()

    def faults(self) -> list[AdapterError | None]:
        """Return the fault of each model's server, None for one that answered last, in the order of the models."""
        return [guarded.probe_fault or guarded.answer_fault for guarded in self._guarded]

    def stream(self, request: CompletionRequest) -> Iterator[str | Finish]:
        """Yield the answer's text piece by piece, then one Finish; raises the first model's error when all fail."""
        failures: list[AdapterError] = []
        for guarded in self._order(request.model):
            try:
                first, rest = self._begin(guarded, request)
            except AdapterError as error:
                failures.append(error)
                if request.cancel_token.requested:
                    break
                continue
            yield first
            yield from rest
            return
        raise failures[0]

    def _order(self, name: str) -> list["_Guarded"]:
        """Return the models in the order in which they are asked, those of a name first."""
        selected = [one for one in self._selectable if one.name == name]
        return [*selected, *sorted(self._guarded, key=lambda one: one.name != name)]

    def _begin(self, guarded: "_Guarded", request: CompletionRequest) -> tuple[str | Finish, Iterator[str | Finish]]:
        """Return an answer's first piece and the rest, after as many tries as it takes and is allowed."""
        first: list[AdapterError] = []
        try:
            return guarded.begin(request)
        except AdapterError as error:
            first.append(error)

        def begin() -> tuple[str | Finish, Iterator[str | Finish]]:
            """Fail with the first try's error once: to set up the further ones costs more than a good first one."""
            if first:
                raise first.pop()
            return guarded.begin(request)

        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(1 + self._retries),
            retry=tenacity.retry_if_exception(lambda error: may_be_over(error) and not request.cancel_token.requested),
            wait=pause,
            sleep=request.cancel_token.sleep,
            reraise=True,
        )
        return attempts(begin)


class _Guarded:
    """A model behind its breaker (M. Nygard, "Release It!", 2nd edition, 5.2)."""

    def __init__(self, model: LLM, breakers: SyncCircuitBreakerFactory, name: str) -> None:
        self._model = model
        self.name = model.name
        self._breaker = breakers.get_breaker(name, exclude=[(Exception, is_harmless_to_breaker)])
        self._seconds = self._breaker.context.ttl
        self.probe_fault: AdapterError | None = None
        self.answer_fault: AdapterError | None = None
        self._probe = threading.Lock()  # half open, the library lets all through

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked for now."""
        return bool(self._breaker.context.state == "opened")

    def probe(self) -> None:
        """Ask the server whether it answers; of a key or a model that it refused, only an answer shows the contrary."""
        try:
            self._model.probe()
        except AdapterError as error:
            self.probe_fault = error
            return
        self.probe_fault = None
        if isinstance(self.answer_fault, BREAKER_ERRORS):
            self.answer_fault = None

    def begin(self, request: CompletionRequest) -> tuple[str | Finish, Iterator[str | Finish]]:
        """Return the first piece and the rest; raises UpstreamDown while the breaker is open."""
        if self._breaker.context.state == "closed":
            return self._admitted(request)
        if not self._probe.acquire(blocking=False):
            raise UpstreamDown("The model's server is being tried again.", retry_after=1)
        try:
            return self._admitted(request)
        finally:
            self._probe.release()

    def _admitted(self, request: CompletionRequest) -> tuple[str | Finish, Iterator[str | Finish]]:
        started = time.monotonic()
        try:
            with self._breaker:
                stream = self._model.stream(request)
                first = next(stream)
                request.attempts.append(Attempt(self.name, None, time.monotonic() - started))
                self.probe_fault = None
                self.answer_fault = None
                return first, stream
        except AdapterError as error:
            if isinstance(error, FAULTS):
                self.answer_fault = error
            request.attempts.append(Attempt(self.name, type(error).__name__, time.monotonic() - started))
            raise
        except OpenedState as opened:
            wait = max(1.0, opened.opened_at + self._seconds - time.time())
            raise UpstreamDown("The model's server is left alone for a while.", retry_after=wait) from opened


def is_harmless_to_breaker(error: BaseException) -> bool:
    """Return whether a failure says nothing of the server's health."""
    return not isinstance(error, BREAKER_ERRORS)


def may_be_over(error: BaseException) -> bool:
    """Return whether the same request may succeed in a moment."""
    return isinstance(error, SECOND_TRY) and (error.retry_after or 0.0) <= MAX_IN_PLACE_SECONDS


def pause(state: tenacity.RetryCallState) -> float:
    """Return the seconds until the next attempt: the server's Retry-After, and jitter."""
    error = state.outcome.exception() if state.outcome else None
    requested_wait = error.retry_after if isinstance(error, AdapterError) and error.retry_after else 0.0
    return requested_wait + JITTER(state)
