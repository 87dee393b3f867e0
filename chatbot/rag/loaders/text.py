"""Plain text: UTF-8, UTF-16 and UTF-32 with a mark, else Windows-1252."""

from chatbot.rag.text import front_matter
from chatbot.rag.types import Parsed

from . import plain


class TextLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text; raises UnreadableDocument when there is none."""
        text = plain.decode(data)
        found = front_matter.split(text)
        if found.title or found.description:  # other lines between two rules are shown as they are
            text = "\n\n".join(filter(None, (found.title, found.description, found.body)))
        return plain.parsed(text, found.title)
