"""A Word document made ready for its converter, which passes over formulas, numbers, margins and embedded parts.

The parts that are read are bounded; pictures and fonts, of any size, are left out.
"""

import io
import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

from chatbot.rag.errors import UnreadableDocument

from . import docx_elements, docx_numbering
from .docx_numbering import W

MAX_MEMBERS = 3_000
MAX_PART_BYTES = 20_000_000  # unpacked: the XML of a few thousand pages
MAX_UNPACKED_BYTES = 100_000_000
MAX_EMBEDDED_PARTS = 200
TOO_LARGE = "The Word document is too large when unpacked."
DIRECTORY_ENTRY = b"PK\x01\x02"
READ = (".xml", ".rels")
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
TITLE = "{http://purl.org/dc/elements/1.1/}title"
DOCUMENT = "word/document.xml"
RELATIONS = "_rels/.rels"
NOTES = ("footnotes.xml", "endnotes.xml")
# A paragraph of its own, until the part's text takes its place: noncharacters, which no text has (Unicode, 23.7).
EMBEDDED_MARK = "\ufdd0{}\ufdd0"


@dataclass(slots=True)
class Prepared:
    """A document for the converter, its title, and the embedded parts by the mark that stands for each."""

    data: bytes
    title: str | None
    embedded: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # name and content


def prepare(data: bytes) -> Prepared:
    """Return a document with all of its text in paragraphs.

    Raises UnreadableDocument for one that is encrypted or built to break its reader.
    """
    if data.count(DIRECTORY_ENTRY) > MAX_MEMBERS:  # before each becomes an object
        raise UnreadableDocument(f"The Word document has more than {MAX_MEMBERS:,} parts.")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = _read_parts(archive)
        prepared = Prepared(b"", _title(parts.get("docProps/core.xml")))
        main = _main_part(parts)
        if main in parts:
            _Preparation(archive, parts, prepared, main).run()
    prepared.data = _packed(parts)
    return prepared


def _main_part(parts: dict[str, bytes]) -> str:
    """Return the name of the part with the text, as the package's relations tell it."""
    relations = _parse(parts[RELATIONS]) if RELATIONS in parts else ()
    targets = (one.get("Target", "") for one in relations if one.get("Type", "").endswith("/officeDocument"))
    return next((target.lstrip("/") for target in targets), DOCUMENT)


def _read_parts(archive: zipfile.ZipFile) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    unpacked = 0
    for member in archive.infolist():
        if member.flag_bits & 1:
            raise UnreadableDocument("The Word document is encrypted.")
        if member.filename.lower().endswith(READ):
            unpacked += member.file_size
            if unpacked > MAX_UNPACKED_BYTES:
                raise UnreadableDocument(TOO_LARGE)
            parts[member.filename] = _read(archive, member)
            _refuse_doctype(parts[member.filename])
    return parts


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MAX_PART_BYTES:
        raise UnreadableDocument("A part of the Word document is too large when unpacked.")
    return archive.read(member)


def _packed(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


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


def _title(properties: bytes | None) -> str | None:
    try:
        return None if properties is None else _parse(properties).findtext(TITLE)
    except ElementTree.ParseError:
        return None


def _parse(xml: bytes) -> Element:
    return ElementTree.fromstring(xml)  # noqa: S314  # it has no entities


class _Preparation:
    """The changes to the main part."""

    def __init__(self, archive: zipfile.ZipFile, parts: dict[str, bytes], prepared: Prepared, main: str) -> None:
        self._archive = archive
        self._parts = parts
        self._prepared = prepared
        self._main = main
        self._folder = posixpath.dirname(main)
        self._targets = self._relations()
        self._unpacked = sum(map(len, parts.values()))
        self._changes = {**docx_elements.CHANGES, f"{W}altChunk": self._embedded}
        self._numbering = docx_numbering.read(self._beside("numbering.xml"), self._beside("styles.xml"))
        self._comments = self._read_comments()

    def run(self) -> None:
        root = _parse(self._parts[self._main])
        body = root.find(f"{W}body")
        if body is None:
            return
        self._change(body)
        docx_elements.insert_comments(body, self._comments)
        for paragraph in body.iter(f"{W}p"):  # in the order of the document, as Word counts
            self._number(paragraph)
        self._add_headers(root, body)
        self._parts[self._main] = ElementTree.tostring(root)
        for name in NOTES:
            self._change_notes(name)
        self._unnumber()

    def _change_notes(self, name: str) -> None:
        notes = self._beside(name)
        if notes is not None:
            self._change(notes)
            docx_elements.insert_comments(notes, self._comments)
            self._parts[posixpath.join(self._folder, name)] = ElementTree.tostring(notes)

    def _read_comments(self) -> dict[str, Element]:
        part = self._beside("comments.xml")
        if part is None:
            return {}
        self._change(part)
        return docx_elements.read_comments(part)

    def _unnumber(self) -> None:
        """Take the styles from lists that count: one by style would be numbered twice."""
        numbering = self._beside("numbering.xml")
        if numbering is None:
            return
        for level in docx_numbering.numbered_levels(numbering):
            for style in level.findall(f"{W}pStyle"):
                level.remove(style)
        self._parts[posixpath.join(self._folder, "numbering.xml")] = ElementTree.tostring(numbering)

    def _beside(self, name: str) -> Element | None:
        return self._optional(posixpath.join(self._folder, name))

    def _optional(self, name: str) -> Element | None:
        return _parse(self._parts[name]) if name in self._parts else None

    def _relations(self) -> dict[str, str]:
        """Return the parts that the main part refers to, by the relation's name."""
        relations = self._optional(posixpath.join(self._folder, "_rels", f"{posixpath.basename(self._main)}.rels"))
        if relations is None:
            return {}
        return {
            one.get("Id", ""): posixpath.normpath(posixpath.join("/", self._folder, one.get("Target", ""))).lstrip("/")
            for one in relations
            if one.get("TargetMode") != "External"
        }

    def _change(self, parent: Element) -> None:
        """Replace all elements that the converter passes over, in one walk."""
        stack = [parent]
        while stack:
            element = stack.pop()
            children = list(element)
            for number, child in enumerate(children):
                change = self._changes.get(child.tag)
                changed = change(child) if change else child
                children[number] = changed
                if changed is child:
                    stack.append(child)
            element[:] = children

    def _number(self, paragraph: Element) -> None:
        label = None if docx_numbering.is_end_struck(paragraph) else self._numbering.label(paragraph)
        if not label:
            return
        properties = paragraph.find(f"{W}pPr")
        if properties is not None:
            for own in properties.findall(f"{W}numPr"):
                properties.remove(own)
        run = docx_elements.run(f"{label} ")
        paragraph.insert(0 if properties is None else 1, run)

    def _embedded(self, chunk: Element) -> Element:
        """Return a paragraph with a mark that the text of an embedded part replaces later."""
        name = self._targets.get(chunk.get(f"{R}id", ""), "")
        embedded = self._prepared.embedded
        if name in self._archive.namelist() and len(embedded) < MAX_EMBEDDED_PARTS:
            mark = EMBEDDED_MARK.format(len(embedded))
            member = self._archive.getinfo(name)
            self._unpacked += member.file_size
            if self._unpacked > MAX_UNPACKED_BYTES:
                raise UnreadableDocument(TOO_LARGE)
            embedded[mark] = (name, _read(self._archive, member))
            return docx_elements.paragraph(mark)
        return Element(f"{W}p")

    def _add_headers(self, root: Element, body: Element) -> None:
        """Put the texts of headers in front of the body and those of footers behind it, each once."""
        seen: set[str] = set()
        headers, footers = (
            [docx_elements.paragraph(text) for text in docx_elements.read_margins(self._margins(root, kind), seen)]
            for kind in ("headerReference", "footerReference")
        )
        body[:] = [*headers, *body, *footers]

    def _margins(self, root: Element, kind: str) -> Iterator[Element]:
        for reference in list(root.iter(f"{W}{kind}")):
            part = self._optional(self._targets.get(reference.get(f"{R}id", ""), ""))
            if part is not None:
                self._change(part)
                yield part
