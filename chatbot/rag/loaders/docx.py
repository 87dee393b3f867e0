"""Word documents: headings, lists, tables and text in Markdown notation."""

import email.policy
import io

from chatbot.rag.errors import DocumentError, UnreadableDocument
from chatbot.rag.text.markdown import first_heading
from chatbot.rag.types import Parsed

from . import docx_parts, html, html_layout, notation, plain

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
        text = _with_embedded(text, mark, embedded.strip())
    return text.strip("\n") + "\n", prepared.title, warnings


def _with_embedded(text: str, mark: str, embedded: str) -> str:
    """Return the text with a part in the place of its mark: in a row of a table, on one line."""
    before, _, after = text.partition(mark)
    if before.rpartition("\n")[2].startswith("|"):
        embedded = " ".join(embedded.split())
    return before + embedded + after.replace(mark, "")


def _read_embedded(name: str, content: bytes, depth: int) -> tuple[str, list[str]]:
    """Return the text of an embedded document, page or text, and warnings of unreadable parts of it."""
    suffix = name.rpartition(".")[2].lower()
    if suffix in {"docx", "docm", "dotx"}:
        if depth == 0:
            raise UnreadableDocument("documents are embedded too deep.")
        with plain.reading("embedded document"):
            text, _, warnings = _read(content, depth - 1)
        return text, warnings
    if suffix in {"html", "htm", "xhtml"}:
        return html.read(content)[0], []
    if suffix in {"mht", "mhtml"}:
        return _read_archived_page(content), []
    if suffix in {"txt", "text"}:
        return plain.decode(content), []
    raise UnreadableDocument("its format is not read.")


def _read_archived_page(content: bytes) -> str:
    """Return the text of the page in a MIME message (RFC 2557)."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    page = message.get_body(("html", "plain"))
    data = page.get_payload(decode=True) if page else None
    if page is None or not isinstance(data, bytes):
        raise UnreadableDocument("it has no page.")
    charset = page.get_content_charset()
    return html.read(data, charset)[0] if page.get_content_subtype() == "html" else plain.decode(data, charset)
