"""The share of files' words that is read, beside a second reader of each format: `python -m bench.reading FOLDER`.

Second readers are pdfium's own text for PDF, Chromium for HTML, pandoc for Word documents and Markdown (and for HTML
where there is no Chromium). Words are compared without punctuation and the addresses of links; files with the fewest in
common are named, so that a fault is found where it is.
"""

import argparse
import functools
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import pypdfium2

from bench.report import Report
from chatbot.rag import registry
from chatbot.rag.errors import DocumentError
from chatbot.rag.loaders.sniffing import DOCX, PDF, TYPES
from tests.support.word_order import count_common, split_words

MIN_SHARE = {PDF: 0.98}  # of the second reader's words, in order
MAX_NAMED = 10  # files of a format
MAX_SECONDS = 60  # of a second reader, for a file
NAMES = {PDF: "pdf", DOCX: "docx", "text/html": "html", "text/markdown": "markdown"}
BETWEEN_PARTS = re.compile("[\x02\ufffe](?:\r\n)?")  # of a word at the end of a line
LINK_TARGET = re.compile(r"(?<=\])\([^()\s]*(?: \"[^\"]*\")?\)")
DOCUMENT = re.compile(r"<html[^>]*>(.*)</html>", re.DOTALL)
SHOW_TEXT = (
    "<script>addEventListener('load',()=>{const text=document.body.innerText;"
    "document.documentElement.textContent=text})</script>"
)
Reader = Callable[[Path], str]


def read_with_pdfium(path: Path) -> str:
    """Return pdfium's own text of a PDF, with words parted at a line's end in one."""
    with pypdfium2.PdfDocument(path) as document:
        return BETWEEN_PARTS.sub("", "\n".join(page.get_textpage().get_text_range() for page in document))


def read_with_chromium(path: Path, program: str) -> str:
    """Return the text of a page as Chromium shows it (`innerText`), without the network."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_bytes(path.read_bytes() + SHOW_TEXT.encode())
        options = ["--headless", "--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
        found = run([program, f"--user-data-dir={folder}/profile", *options, page.as_uri()])
    shown = DOCUMENT.search(found)
    return unescape(shown[1]) if shown else ""


def read_with_pandoc(path: Path, program: str, *, notation: str) -> str:
    """Return the plain text that pandoc makes of a file."""
    return run([program, f"--from={notation}", "--to=plain", "--wrap=none", str(path)])


def run(command: list[str]) -> str:
    """Run a second reader; raises CalledProcessError, TimeoutExpired."""
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=MAX_SECONDS, check=True)
    return made.stdout.decode(errors="replace")


def second_readers() -> dict[str, tuple[str, Reader]]:
    """Return the name and the reader of each format for which one is installed."""
    readers: dict[str, tuple[str, Reader]] = {PDF: ("pdfium", read_with_pdfium)}
    pandoc = shutil.which("pandoc")
    if pandoc is not None:
        for media_type, notation in ((DOCX, "docx"), ("text/html", "html"), ("text/markdown", "markdown")):
            reader = functools.partial(read_with_pandoc, program=pandoc, notation=notation)
            readers[media_type] = ("pandoc", reader)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is not None:
        readers["text/html"] = ("Chromium", functools.partial(read_with_chromium, program=chromium))
    return readers


@dataclass(slots=True)
class Comparison:
    """The files of one format, and the words that both readers find in them."""

    shares: dict[Path, float] = field(default_factory=dict)
    words: int = 0
    theirs: int = 0
    common: int = 0
    seconds: float = 0.0
    their_seconds: float = 0.0
    unread: list[str] = field(default_factory=list)

    def add(self, path: Path, media_type: str, reader: Reader) -> None:
        """Read a file twice and compare the words."""
        started = time.perf_counter()
        try:
            text = registry.load("loaders", media_type)().load(path.read_bytes()).text
        except DocumentError as error:
            self.unread.append(f"{path.name}: {error}")
            return
        self.seconds += time.perf_counter() - started
        started = time.perf_counter()
        try:
            other = reader(path)
        except (subprocess.SubprocessError, pypdfium2.PdfiumError) as error:
            self.unread.append(f"{path.name}: the second reader failed, {error}")
            return
        self.their_seconds += time.perf_counter() - started
        words = split_words(LINK_TARGET.sub("", text))
        theirs = split_words(other)
        common = count_common(words, theirs)
        self.words += len(words)
        self.theirs += len(theirs)
        self.common += common
        self.shares[path] = common / len(theirs) if theirs else 1.0

    def tell(self, media_type: str, name: str, report: Report) -> None:
        """Add the figures to the report, and name the files that were read worst."""
        kind = NAMES[media_type]
        bound = MIN_SHARE.get(media_type)
        report.tell(f"{kind}: files read", len(self.shares))
        if self.theirs and self.words:
            report.tell(f"{kind}: {name}'s words in order", self.common / self.theirs, "", bound)
            report.tell(f"{kind}: the same, median of the files", statistics.median(self.shares.values()))
            report.tell(f"{kind}: words that {name} has not", 1 - self.common / self.words)
            report.tell(f"{kind}: read", self.seconds, "s")
            report.tell(f"{kind}: read by {name}", self.their_seconds, "s")
        worst = sorted(self.shares, key=lambda path: self.shares[path])[:MAX_NAMED]
        for path in worst:
            if self.shares[path] < (bound or 1.0):
                print(f"         {self.shares[path]:.3f} {path}")
        for line in self.unread[:MAX_NAMED]:
            print(f"         not compared: {line}")


def tell_progress(count: int, number: int) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{count} of {number} files", end="" if count < number else "\n", file=sys.stderr, flush=True)


def find_files(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return the files of each media type below the paths."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            media_type = TYPES.get(file.suffix.lstrip(".").lower(), "")
            if media_type in NAMES and file.is_file():
                found.setdefault(media_type, []).append(file)
    return found


def existing(name: str) -> Path:
    """Return the path of that name; raises ArgumentTypeError."""
    path = Path(name)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"there is no {name}: name a folder or files with FILES=...")
    return path


def main() -> int:
    """Compare, print, and return how many bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=existing, nargs="+")
    files = find_files(parser.parse_args().files)
    readers = second_readers()
    report = Report("reading")
    number = sum(len(paths) for media_type, paths in files.items() if media_type in readers)
    count = 0
    for media_type, paths in files.items():
        if media_type not in readers:
            print(f"{NAMES[media_type]}: {len(paths)} files are not compared; install pandoc or Chromium")
            continue
        name, reader = readers[media_type]
        comparison = Comparison()
        for path in paths:
            comparison.add(path, media_type, reader)
            count += 1
            tell_progress(count, number)
        comparison.tell(media_type, name, report)
    report.write()
    return report.missed()


if __name__ == "__main__":
    sys.exit(main())
