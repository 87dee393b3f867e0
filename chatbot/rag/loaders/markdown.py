"""Markdown: the text as it is, and its first heading as the title."""

from chatbot.rag.types import Parsed

from . import notation, plain


class MarkdownLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text; raises UnreadableDocument when there is none."""
        text = plain.decode(data)
        return plain.parsed(text, notation.first_heading(text))
