"""What the pipeline needs from the outside. An adapter is one file that satisfies one of these."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from .types import Finish, Message


class LLM(Protocol):
    """A language model; made from `types.LLMOptions`."""

    name: str

    def stream(self, messages: Sequence[Message]) -> Iterator[str | Finish]:
        """Yield the answer's text piece by piece, then one Finish; raise an `errors.LLMError` when it cannot."""
