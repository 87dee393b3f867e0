"""Word documents: headings, lists, tables and text in Markdown notation."""

import io

from chatbot.rag.errors import DocumentError, UnreadableDocument
from chatbot.rag.text.markdown import first_heading
from chatbot.rag.types import Parsed

from . import docx_parts, html_layout, notation, plain

STYLES = "p[style-name='Title'] => h1:fresh"
MAX_EMBEDDING = 3  # documents in documents


class DocxLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the document's text; raises UnreadableDocument when it is broken, a bomb, encrypted or empty."""
        with plain.reading("Word document"):
            text, title, warnings = _read(data, MAX_EMBEDDING)
            return plain.parsed(text, title or first_heading(text), warnings=tuple(warnings))


def _read(data: bytes, depth: int) -> tuple[str, str | None, list[str]]:
    """Return the text with that of embedded parts in its place, the title, and the parts that cannot be read."""
    import mammoth

    prepared = docx_parts.prepare(data)
    images = mammoth.images.img_element(lambda _: {})
    result = mammoth.convert_to_html(io.BytesIO(prepared.data), style_map=STYLES, convert_image=images)
    text = notation.from_html(html_layout.prepare(result.value))
    warnings: list[str] = []
    for mark, (name, content) in prepared.embedded.items():
        embedded = ""
        try:
            embedded, more = _read_embedded(name, content, depth)
            warnings += more
        except DocumentError as error:
            warnings.append(f"The embedded part {name.rpartition('/')[2]} was left out: {error}")
        text = text.replace(mark, embedded.strip(), 1)
    return text.strip("\n") + "\n", prepared.title, warnings


def _read_embedded(name: str, content: bytes, depth: int) -> tuple[str, list[str]]:
    """Return the text of an embedded document, page or text, and warnings of unreadable parts of it."""
    suffix = name.rpartition(".")[2].lower()
    if suffix in {"docx", "docm", "dotx"}:
        if depth == 0:
            raise UnreadableDocument("documents are embedded too deep.")
        with plain.reading("embedded document"):
            text, _, warnings = _read(content, depth - 1)
        return text, warnings
    if suffix in {"html", "htm", "xhtml", "mht", "mhtml"}:
        return notation.from_html(html_layout.prepare(plain.decode(content))), []
    if suffix in {"txt", "text"}:
        return plain.decode(content), []
    raise UnreadableDocument("its format is not read.")
