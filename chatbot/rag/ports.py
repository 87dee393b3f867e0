"""What the pipeline needs from the outside. An adapter is one file that satisfies one of these."""

from collections.abc import Iterator
from typing import Protocol

from .types import Ask, Finish


class LLM(Protocol):
    """A language model; made from `types.LLMOptions`."""

    name: str

    def stream(self, ask: Ask) -> Iterator[str | Finish]:
        """Yield the answer's text piece by piece, then one Finish; raise an `errors.LLMError` when it cannot."""
