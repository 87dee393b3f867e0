"""Word documents: headings, lists, tables and text in Markdown notation."""

import io
import zipfile
from xml.etree import ElementTree
from xml.parsers import expat

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.text.markdown import first_heading
from chatbot.rag.types import Parsed

from . import notation, plain

MAX_MEMBERS = 3_000
LARGEST_MEMBER = 20_000_000  # bytes unpacked: the XML of a few thousand pages
MAX_UNPACKED_BYTES = 100_000_000
ZIP = b"PK\x03\x04"
DIRECTORY_ENTRY = b"PK\x01\x02"
EMBEDDED = "word/embeddings/"  # the sheets behind charts; they are never opened
STYLES = "p[style-name='Title'] => h1:fresh"
TITLE = "{http://purl.org/dc/elements/1.1/}title"


class DocxLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the document's text; raises UnreadableDocument when it is broken, a bomb, encrypted or empty."""
        import mammoth

        with plain.reading("Word document"):
            title = _inspected(data)
            images = mammoth.images.img_element(lambda _: {})
            result = mammoth.convert_to_html(io.BytesIO(data), style_map=STYLES, convert_image=images)
            text = notation.from_html(result.value)
            return plain.parsed(text, title or first_heading(text))


def _inspected(data: bytes) -> str | None:
    """Return the title in the document's properties, if nothing in the archive is built to break its reader."""
    if data.count(DIRECTORY_ENTRY) > MAX_MEMBERS:  # before each becomes an object
        raise UnreadableDocument(f"The Word document has more than {MAX_MEMBERS:,} parts.")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if max((member.file_size for member in members), default=0) > LARGEST_MEMBER:
            raise UnreadableDocument("A part of the Word document is too large when unpacked.")
        if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
            raise UnreadableDocument("The Word document is too large when unpacked.")
        for member in members:
            _inspect(archive, member)
        return _title(archive)


def _inspect(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 1:
        raise UnreadableDocument("The Word document is encrypted.")
    with archive.open(member) as part:
        if part.read(len(ZIP)) == ZIP and not member.filename.startswith(EMBEDDED):
            raise UnreadableDocument("The Word document has an archive inside.")
    with archive.open(member) as part:
        _refuse_doctype(part.read())


def _refuse_doctype(xml: bytes) -> None:
    """Refuse a document type: entities, which can grow without bound, need one, and Word writes none."""

    def refuse(*_: object) -> None:
        raise UnreadableDocument("The Word document declares XML entities.")

    def leave(*_: object) -> None:
        raise StopIteration

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = leave
    try:
        parser.Parse(xml, True)
    except (StopIteration, expat.ExpatError):
        return


def _title(archive: zipfile.ZipFile) -> str | None:
    try:
        properties = ElementTree.fromstring(archive.read("docProps/core.xml"))  # noqa: S314  # it has no entities
    except (KeyError, ElementTree.ParseError):
        return None
    return properties.findtext(TITLE)
