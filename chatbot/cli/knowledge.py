"""`flask knowledge`: documents and their indexes."""

import errno
import os
import shlex
import sys
import time
from pathlib import Path
from uuid import UUID

import click
from flask.cli import AppGroup

from chatbot.errors import DocumentTooLarge, QuotaExceeded, TooManyDocuments
from chatbot.rag.errors import AdapterError, DimensionChanged, TypeMismatch, UnsupportedType
from chatbot.rag.loaders import sniffing
from chatbot.services import periodic
from chatbot.services.accounts import accounts
from chatbot.services.accounts.callers import OPERATOR, Caller
from chatbot.services.knowledge import collections, documents, records, verification
from chatbot.services.knowledge.content import Content, split_into_pieces
from chatbot.services.knowledge.ingestion import queue as queues
from chatbot.services.knowledge.ingestion import worker
from chatbot.services.knowledge.search import embeddings
from chatbot.services.knowledge.state import get_knowledge_state

from .outcome import bar, reporting_errors

POLL_SECONDS = 0.2  # seconds between two looks at documents that another process works on

group = AppGroup("knowledge", help="Documents, and what is searched of them.")


@group.command("ingest")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--collection", default=collections.OPERATORS_NAME, show_default=True, help="Shared with all users.")
@click.option("--owner", help="E-mail address of a user, into whose own collection the documents go instead.")
def ingest(paths: tuple[Path, ...], collection: str, owner: str | None) -> None:
    """Take in files and folders; a file that was taken in before is replaced when it has changed."""
    with reporting_errors():
        caller = accounts.find_caller_by_email(owner) if owner else OPERATOR
        collection_id = (
            collections.ensure_default(caller) if owner else collections.ensure_operator_collection(collection)
        )
        files, others, links = _files(paths)
        sent, unchanged, skipped = _send_files(caller, collection_id, files)
        failed = _wait_for_ingestion(sent)
    for path, reason in [*skipped, *failed]:
        click.echo(f"{path}: {reason}", err=True)
    taken = len(sent) - len(failed)
    failures = len(failed)
    click.echo(f"Took in {taken} documents, {unchanged} unchanged, {failures} failed, {len(skipped)} skipped.")
    if sent or unchanged:
        removal = _build_removal_command(paths, collection, owner)
        click.echo(f"Answers may cite them. To take them out again: {removal}", err=True)
    if others:
        click.echo(f"Passed over {others} files of the folders, which are not {', '.join(sniffing.TYPES)}.", err=True)
    if links:
        click.echo(f"Passed over {links} links that lead out of the folders.", err=True)
    if failed or not (sent or unchanged):
        sys.exit(1)


@group.command("remove")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--collection", default=collections.OPERATORS_NAME, show_default=True, help="That they were taken into.")
@click.option("--owner", help="E-mail address of the user, out of whose own collection the documents go instead.")
def remove(paths: tuple[Path, ...], collection: str, owner: str | None) -> None:
    """Take files and folders out again that were taken in."""
    with reporting_errors():
        caller = accounts.find_caller_by_email(owner) if owner else OPERATOR
        collection_id = (
            collections.ensure_default(caller) if owner else collections.find_operator_collection(collection)
        )
        names = [name for name, _ in _files(paths)[0]]
        removed = 0
        with bar("Removing", len(names)) as step:
            for name in names:
                known = _find_document(caller, collection_id, name)
                if known is not None:
                    documents.delete(caller, known.id)
                    removed += 1
                step(1)
    click.echo(f"Removed {removed} documents; {len(names) - removed} were not there.")
    if not removed:
        sys.exit(1)


@group.command("list")
def list_all() -> None:
    """List all collections: documents, passages, bytes; and which embedder's vectors are searched."""
    with reporting_errors():
        for summary in verification.collections():
            click.echo(
                f"{summary.id}  {summary.owner or '(operator)'}  {summary.name}  {summary.visibility}  "
                f"{summary.documents} documents, {summary.chunks} passages, {summary.bytes} bytes"
            )
        stale = embeddings.find_outdated_space()
    if stale:
        click.echo(f"Searched are vectors of {stale}; `flask knowledge reindex` goes over to the configured embedder.")


@group.command("verify")
def verify() -> None:
    """Check that every document can be searched as it should: versions, passages, vectors, counts."""
    with reporting_errors(), bar("Verifying", verification.count()) as step:
        faults = list(verification.verify(step))
    for fault in faults:
        click.echo(fault)
    click.echo(f"Found {len(faults)} faults.")
    if faults:
        sys.exit(1)


@group.command("reindex")
def reindex() -> None:
    """Embed all passages with the configured embedder, then search those vectors; until then the old ones answer."""
    with reporting_errors(), bar("Embedding", embeddings.count_missing()) as step:
        try:
            done = embeddings.reindex(step)
        except DimensionChanged as error:
            raise click.ClickException(error.detail) from error
        except AdapterError as error:
            raise click.ClickException(f"{error.detail} What is embedded stays; run it again.") from error
    click.echo(f"Embedded {done} passages.")


def _build_removal_command(paths: tuple[Path, ...], collection: str, owner: str | None) -> str:
    """Return the command that removes the documents of these paths again."""
    options = [] if collection == collections.OPERATORS_NAME else ["--collection", collection]
    options += ["--owner", owner] if owner else []
    return shlex.join(["flask", "knowledge", "remove", *options, *map(str, paths)])


def _find_document(caller: Caller, collection_id: UUID, name: str) -> records.Document | None:
    """Return the document of a file of this name, or None."""
    found = documents.list_documents(caller, limit=1, collection_id=collection_id, external_id=name[-255:]).items
    return found[0] if found else None


def _send_files(
    caller: Caller, collection_id: UUID, files: list[tuple[str, Path]]
) -> tuple[dict[UUID, str], int, list[tuple[str, str]]]:
    """Queue new and changed documents; returns them by id, the number of unchanged ones, and those skipped."""
    sent: dict[UUID, str] = {}
    unchanged = 0
    skipped: list[tuple[str, str]] = []
    taken: dict[str, Path] = {}
    with bar("Sending", len(files)) as step:
        for name, path in files:
            first = taken.setdefault(name, path)
            try:
                if not first.samefile(path):  # it would replace that one, at each run
                    raise FileExistsError(errno.EEXIST, f"{path} has the same name here as {first}.")
                document = _send_when_there_is_room(caller, collection_id, name, path.read_bytes())
                if document.status == "ready":
                    unchanged += 1
                else:
                    sent[document.id] = name
            except (TypeMismatch, UnsupportedType, DocumentTooLarge, QuotaExceeded, TooManyDocuments) as error:
                skipped.append((name, error.detail))
            except OSError as error:
                skipped.append((name, error.strerror or type(error).__name__))
            step(1)
    return sent, unchanged, skipped


def _send_when_there_is_room(caller: Caller, collection_id: UUID, name: str, data: bytes) -> records.Document:
    """Queue a document, after work on the queue where its owner has as many that wait as one may have.

    Raises TooManyDocuments where the parsers read too long for its owner today.
    """
    while True:
        try:
            return _send(caller, collection_id, name, data)
        except TooManyDocuments as error:
            if error.retry_after != queues.RETRY_AFTER:
                raise
        if not any(worker.process_batch(queue) for queue in queues.QUEUES):
            time.sleep(POLL_SECONDS)


def _send(caller: Caller, collection_id: UUID, name: str, data: bytes) -> records.Document:
    content = Content(name[-255:], sniffing.media_type(name, data), split_into_pieces(data))
    known = _find_document(caller, collection_id, name)
    if known is not None:
        return documents.replace(caller, known.id, content)
    return documents.create(caller, content, collection_id, external_id=name[-255:]).document


def _wait_for_ingestion(sent: dict[UUID, str]) -> list[tuple[str, str]]:
    """Work on the queue, beside a server or alone, until all sent documents have ended; returns the failed ones."""
    app = get_knowledge_state().app
    periodic.every(app, worker.LEASE_INTERVAL_SECONDS, worker.renew_leases)
    waiting = dict(sent)
    failed = []
    with bar("Reading", len(sent)) as step:
        while waiting:
            if not any(worker.process_batch(queue) for queue in queues.QUEUES):
                time.sleep(POLL_SECONDS)
            for document in verification.find_ingested(list(waiting)):
                name = waiting.pop(document.id)
                step(1)
                if document.status == "failed":
                    failed.append((name, document.reason or ""))
    return failed


def _files(paths: tuple[Path, ...]) -> tuple[list[tuple[str, Path]], int, int]:
    """Return the named files and the readable ones below the folders, with odd bytes in their names replaced.

    And how many files of the folders are of other types, and how many are links that lead out of their folder; hidden
    ones do not count.
    """
    found: list[tuple[str, Path]] = []
    others = links = 0
    for path in paths:
        if not path.is_dir():
            found.append((_legible(path.name), path))
            continue
        for below in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in below.relative_to(path).parts)
            if hidden or not below.is_file():
                continue
            if not below.resolve().is_relative_to(path.resolve()):
                links += 1
                continue
            if below.suffix[1:].lower() in sniffing.TYPES:
                found.append((_legible(f"{path.resolve().name}/{below.relative_to(path)}"), below))
            else:
                others += 1
    return found, others, links


def _legible(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")
