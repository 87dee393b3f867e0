"""Markdown: the text as it is, and its first heading as the title."""

from chatbot.rag.text.markdown import first_heading
from chatbot.rag.types import Parsed

from . import plain


class MarkdownLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text; raises UnreadableDocument when there is none."""
        text = plain.decode(data)
        return plain.parsed(text, first_heading(text))
