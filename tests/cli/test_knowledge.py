"""`flask knowledge`: files and folders in, lists, checks, reindexing."""

import os
import shlex
from pathlib import Path

import pytest
from flask import Flask

from chatbot.services.knowledge.state import get_knowledge_state
from tests.api.test_documents import HOURS, find
from tests.conftest import MakeApp, Person
from tests.support.processes import Server

pytestmark = pytest.mark.both_databases


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "handbook"
    (made / "deep").mkdir(parents=True)
    (made / "hours.md").write_text(f"# Hours\n\n{HOURS}\n")
    (made / "deep" / "bees.txt").write_text("Bees dance the waggle dance.")
    (made / "picture.png").write_bytes(b"\x89PNG")
    (made / ".hidden.md").write_text("Nobody reads this.")
    return made


def test_folder_is_taken_in_for_everybody_and_again_only_what_changed(app: Flask, ada: Person, folder: Path) -> None:
    runner = app.test_cli_runner()
    first = runner.invoke(args=["knowledge", "ingest", str(folder)])
    assert (first.exit_code, first.stdout) == (0, "Took in 2 documents, 0 unchanged, 0 failed, 0 skipped.\n"), (
        first.output
    )
    assert "Passed over 1 files of the folders, which are not txt," in first.stderr  # the picture
    assert {one["title"] for one in find(ada, "library bees waggle")} == {"handbook/hours.md", "handbook/deep/bees.txt"}
    (folder / "hours.md").write_text("The library moved to the moon.")
    again = runner.invoke(args=["knowledge", "ingest", str(folder)])
    assert (again.exit_code, again.stdout) == (0, "Took in 1 documents, 1 unchanged, 0 failed, 0 skipped.\n")
    last = runner.invoke(args=["knowledge", "ingest", str(folder)])
    assert (last.exit_code, last.stdout) == (0, "Took in 0 documents, 2 unchanged, 0 failed, 0 skipped.\n")
    found = ada.call("GET", "/api/documents/").get_json()["items"]
    assert {one["external_id"]: one["version"] for one in found} == {
        "handbook/hours.md": 2,
        "handbook/deep/bees.txt": 1,
    }
    assert find(ada, "library")[0]["quote"] == "The library moved to the moon."
    assert "HOURS" not in str(find(ada, "library"))


def test_documents_of_one_owner_are_his_alone(app: Flask, ada: Person, eve: Person, folder: Path) -> None:
    runner = app.test_cli_runner()
    ended = runner.invoke(args=["knowledge", "ingest", str(folder), "--owner", "ada@example.org"])
    assert ended.exit_code == 0, ended.output
    assert find(ada, "library")
    assert find(eve, "library") == []
    assert runner.invoke(args=["knowledge", "ingest", str(folder), "--owner", "no@example.org"]).exit_code == 1


def test_what_cannot_be_read_is_told_and_the_rest_is_taken_in(app: Flask, ada: Person, folder: Path) -> None:
    (folder / "lie.pdf").write_bytes(b"no pdf")
    (folder / "blank.md").write_text("   ")
    ended = app.test_cli_runner().invoke(args=["knowledge", "ingest", str(folder)])
    assert ended.exit_code == 1
    assert ended.stdout == "Took in 2 documents, 0 unchanged, 1 failed, 1 skipped.\n"
    assert "handbook/blank.md: The document has no text." in ended.stderr
    assert "handbook/lie.pdf: The file's name says PDF" in ended.stderr
    assert find(ada, "library")


def test_list_verify_and_reindex_say_what_there_is(make_app: MakeApp, folder: Path) -> None:
    app = make_app()
    runner = app.test_cli_runner()
    runner.invoke(args=["knowledge", "ingest", str(folder)])
    listed = runner.invoke(args=["knowledge", "list"])
    assert "(operator)  Knowledge base  shared  2 documents, 2 passages" in listed.output
    verified = runner.invoke(args=["knowledge", "verify"])
    assert (verified.exit_code, verified.output) == (0, "Found 0 faults.\n")
    changed = make_app(EMBEDDER="wordllama").test_cli_runner()
    assert "Searched are vectors of memory-64" in changed.invoke(args=["knowledge", "list"]).output
    assert changed.invoke(args=["knowledge", "reindex"]).output == "Embedded 2 passages.\n"
    assert "Searched are" not in changed.invoke(args=["knowledge", "list"]).output


def test_reindex_that_fails_says_so_and_the_old_vectors_stay(make_app: MakeApp, folder: Path) -> None:
    make_app().test_cli_runner().invoke(args=["knowledge", "ingest", str(folder)])
    broken = make_app(EMBEDDER="openai", OPENAI_BASE_URL="http://127.0.0.1:9/v1", EMBEDDING_SECONDS="1")
    ended = broken.test_cli_runner().invoke(args=["knowledge", "reindex"])
    assert ended.exit_code == 1
    assert "What is embedded stays; run it again." in ended.output
    with broken.app_context():
        get_knowledge_state().embedder().close()  # type: ignore[attr-defined]  # of the real adapter


@pytest.mark.parametrize("command", ["ingest", "list", "verify", "reindex"])
def test_every_command_has_help(app: Flask, command: str) -> None:
    ended = app.test_cli_runner().invoke(args=["knowledge", command, "--help"])
    assert ended.exit_code == 0
    assert ended.output.startswith("Usage:")


def test_file_that_cannot_be_taken_is_named_and_the_others_are_taken(make_app: MakeApp, folder: Path) -> None:
    app = make_app(DOCUMENT_BYTES="1000")
    (folder / "big.txt").write_text("x " * 600)
    (folder / "empty.txt").write_text("")
    Path(os.fsdecode(os.fsencode(folder) + b"/odd-\xff.txt")).write_text("An odd name.")
    result = app.test_cli_runner().invoke(args=["knowledge", "ingest", str(folder)])
    assert result.exit_code == 1
    assert result.stdout == "Took in 3 documents, 0 unchanged, 1 failed, 1 skipped.\n"
    assert "big.txt: A document may have 1,000 bytes." in result.stderr
    assert "empty.txt: The document has no text." in result.stderr


def test_files_of_one_name_in_two_folders_do_not_replace_each_other(app: Flask, ada: Person, tmp_path: Path) -> None:
    for parent, text in (("a", "Bees dance."), ("b", "Wasps sting.")):
        (tmp_path / parent / "docs").mkdir(parents=True)
        (tmp_path / parent / "docs" / "x.md").write_text(text)
    paths = [str(tmp_path / parent / "docs") for parent in ("a", "b")]
    result = app.test_cli_runner().invoke(args=["knowledge", "ingest", *paths])
    assert (result.exit_code, result.stdout) == (0, "Took in 1 documents, 0 unchanged, 0 failed, 1 skipped.\n")
    assert f"docs/x.md: {paths[1]}/x.md has the same name here as {paths[0]}/x.md." in result.stderr
    assert [one["quote"] for one in find(ada, "bees wasps")] == ["Bees dance."]


@pytest.mark.slow
def test_folder_of_more_documents_than_may_wait_is_taken_in_whole(tmp_path: Path) -> None:
    server = Server(tmp_path, RATELIMIT_ENABLED="true", DOCUMENTS_WAITING_PER_USER="3").prepare()
    server.flask(
        "users", "create", "--email", "ada@example.org", "--username", "ada", "--password", "a sound passphrase"
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.txt").write_text(f"Text number {number}.")
    ended = server.flask("knowledge", "ingest", "--owner", "ada@example.org", str(folder))
    assert ended.stdout == "Took in 8 documents, 0 unchanged, 0 failed, 0 skipped.\n"


def test_what_was_taken_in_is_taken_out_again_as_the_command_says(app: Flask, folder: Path) -> None:
    runner = app.test_cli_runner()
    taken = runner.invoke(args=["knowledge", "ingest", str(folder)])
    (line,) = [line for line in taken.stderr.splitlines() if "take them out again" in line]
    removal = shlex.split(line.partition("again: ")[2])
    assert removal[:3] == ["flask", "knowledge", "remove"]
    removed = runner.invoke(args=removal[1:])
    assert (removed.exit_code, removed.output.splitlines()[-1][:7]) == (0, "Removed")
    assert " 0 documents" in runner.invoke(args=["knowledge", "list"]).output
    again = runner.invoke(args=removal[1:])
    assert (again.exit_code, again.output.splitlines()[-1][:19]) == (1, "Removed 0 documents")


def test_removal_makes_no_collection(app: Flask, folder: Path) -> None:
    runner = app.test_cli_runner()
    missing = runner.invoke(args=["knowledge", "remove", "--collection", "Nothing", str(folder)])
    assert missing.exit_code != 0
    assert "Nothing" not in runner.invoke(args=["knowledge", "list"]).output
