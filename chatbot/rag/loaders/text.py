"""Plain text: UTF-8, UTF-16 and UTF-32 with a mark, else Windows-1252."""

from chatbot.rag.types import Parsed

from . import plain


class TextLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text; raises UnreadableDocument when there is none."""
        return plain.parsed(plain.decode(data))
