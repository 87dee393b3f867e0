"""Markdown: the text as it is, with the title of its front matter or its first heading."""

from chatbot.rag.text import front_matter
from chatbot.rag.text.markdown import first_heading
from chatbot.rag.types import Parsed

from . import plain


class MarkdownLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text; raises UnreadableDocument when there is none."""
        found = front_matter.split(plain.decode(data))
        heading = first_heading(found.body) or ""
        shown = f"# {found.title}" if found.title and found.title.lower() != heading.lower() else ""
        text = "\n\n".join(filter(None, (shown, found.description, found.body)))
        return plain.parsed(text, found.title or heading)
