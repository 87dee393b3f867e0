"""A model with few slots behind a queue in which users take turns."""

from collections.abc import Hashable, Iterator

from chatbot.concurrency.semaphores import RoundRobinSemaphore
from chatbot.rag.errors import Aborted, UpstreamBusy
from chatbot.rag.ports import LLM
from chatbot.rag.types import CompletionRequest, Finish

RETRY_AFTER = 10.0  # seconds


class QueuedLLM:
    """A model as one user may ask it; the wait for a slot counts for no deadline and no breaker of the model."""

    def __init__(self, model: LLM, slots: RoundRobinSemaphore, user: Hashable, seconds: float) -> None:
        self.name = model.name
        self._model = model
        self._slots = slots
        self._user = user
        self._seconds = seconds

    def probe(self) -> None:
        """Probe the model, before which this waits for no slot."""
        self._model.probe()

    def stream(self, request: CompletionRequest) -> Iterator[str | Finish]:
        """Yield the model's answer, once there is a slot.

        Raises UpstreamBusy when none came in time, Aborted when the turn was ended meanwhile, and what the model does.
        """
        if not self._slots.acquire(self._user, self._seconds, lambda: request.cancel_token.requested):
            if request.cancel_token.requested:
                raise Aborted("The answer was ended.")
            raise UpstreamBusy("Too many answers wait for the model.", retry_after=RETRY_AFTER)
        try:
            yield from self._model.stream(request)
        finally:
            self._slots.release(self._user)
