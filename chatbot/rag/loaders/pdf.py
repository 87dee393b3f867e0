"""PDF: the text of each page, and where the pages begin."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.types import Parsed

from . import plain

MAX_PAGES = 10_000
BETWEEN_PAGES = "\n\n"


class PdfLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text and the pages' starts.

        Raises UnreadableDocument when the file is encrypted with a password, broken, or has no text (scanned pages).
        """
        import pypdf

        with plain.reading("PDF"), _reporting_errors():
            reader = pypdf.PdfReader(io.BytesIO(data))
            if reader.is_encrypted and not reader.decrypt(""):  # many have an empty password
                raise UnreadableDocument("The PDF is encrypted.")
            if len(reader.pages) > MAX_PAGES:
                raise UnreadableDocument(f"The PDF has more than {MAX_PAGES:,} pages.")
            texts = [plain.clean(page.extract_text()).strip() for page in reader.pages]
            title = reader.metadata.title if reader.metadata else None
            return _join_pages(texts, title if isinstance(title, str) else None)


@contextmanager
def _reporting_errors() -> Iterator[None]:
    from pypdf.errors import DependencyError, LimitReachedError

    try:
        yield
    except LimitReachedError as error:
        raise UnreadableDocument("The PDF is too large when unpacked.") from error
    except DependencyError as error:  # AES, without the package cryptography
        raise UnreadableDocument("The PDF is encrypted.") from error


def _join_pages(texts: list[str], title: str | None) -> Parsed:
    starts = accumulate((len(text) + len(BETWEEN_PAGES) for text in texts[:-1]), initial=0)
    return plain.parsed(BETWEEN_PAGES.join(texts), title, tuple(starts))
