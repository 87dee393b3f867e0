"""`flask` commands."""

import re
from datetime import timedelta

import pytest
from click.testing import Result
from flask import Flask

from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import ChatMessage, Lease, User
from tests.conftest import MakeApp, Person

CREATE = ["users", "create", "--email", "root@example.org", "--username", "root", "--password", "a sound passphrase"]


def run(app: Flask, *arguments: str, **options: str) -> Result:
    return app.test_cli_runner().invoke(args=list(arguments), env=options or None)


@pytest.mark.parametrize(
    "command", ["users", "users create", "users seed", "users disable", "history", "history purge"]
)
def test_every_command_has_help(app: Flask, command: str) -> None:
    result = run(app, *command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert len(result.output.splitlines()) > 4


def test_create_makes_an_admin(app: Flask) -> None:
    result = run(app, *CREATE, "--admin")
    assert (result.exit_code, result.output) == (0, "Created admin root <root@example.org>.\n")
    login = {"email": "root@example.org", "password": "a sound passphrase"}
    assert app.test_client().post("/api/users/login/", json=login).get_json()["user"]["role"] == "admin"


def test_create_takes_the_password_from_the_environment(app: Flask) -> None:
    result = run(app, *CREATE[:-2], CHATBOT_PASSWORD="another passphrase")
    assert result.output == "Created user root <root@example.org>.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*CREATE[:-1], "short"], "password: Length must be between 8 and 1024."),
        ([*CREATE[:-1], "password123"], "password: Is too easy to guess."),
        ([*CREATE[:3], "nobody", *CREATE[4:]], "email: Not a valid email address."),
    ],
)
def test_create_refuses_with_one_line(app: Flask, arguments: list[str], said: str) -> None:
    result = run(app, *arguments)
    assert (result.exit_code, result.output) == (1, f"Error: {said}\n")


def test_create_of_a_taken_name_is_refused(app: Flask) -> None:
    run(app, *CREATE)
    assert run(app, *CREATE).output == "Error: This e-mail address is taken.\n"


def test_seed_prints_passwords_that_work_once(app: Flask) -> None:
    result = run(app, "users", "seed")
    assert result.exit_code == 0
    pairs = re.findall(r"^(\S+@example\.com)  (\S+)$", result.output, re.MULTILINE)
    assert len(pairs) == 3
    for email, password in pairs:
        login = {"email": email, "password": password}
        assert app.test_client().post("/api/users/login/", json=login).status_code == 200
    again = run(app, "users", "seed")
    assert (
        again.output
        == "demo1 is already there.\ndemo2 is already there.\ndemo3 is already there.\nMade 0 demo users.\n"
    )


def test_seed_is_refused_in_production(make_app: MakeApp) -> None:
    secrets = {"SECRET_KEY": "kD83hfLq0zPmWnXv71RtYbGc52AjSeUo", "JWT_SECRET_KEY": "Zq8vT5mK2pXw9nLrB4cJ7hYf3gDs6aEu"}
    app = make_app(**{"APP_ENV": "production", "BCRYPT_ROUNDS": "10", **secrets})
    result = run(app, "users", "seed")
    assert (result.exit_code, result.output) == (1, "Error: Demo users are not for production.\n")
    with app.app_context(), read() as connection:
        assert connection.scalar(db.select(db.func.count()).select_from(User)) == 0


def test_disable_shuts_an_account(app: Flask, ada: Person) -> None:
    assert run(app, "users", "disable", "ADA@example.org").output == "Disabled ada <ada@example.org>.\n"
    login = {"email": "ada@example.org", "password": "a sound passphrase"}
    assert app.test_client().post("/api/users/login/", json=login).status_code == 401
    result = run(app, "users", "disable", "nobody@example.org")
    assert (result.exit_code, result.output[:6]) == (1, "Error:")


@pytest.fixture
def old(app: Flask, ada: Person) -> Person:
    for number in range(3):
        ada.says(f"m{number}")
    with app.app_context(), write("test") as connection:
        moment = now() - timedelta(days=40)
        connection.execute(db.update(ChatMessage).where(ChatMessage.user_message != "m2").values(created_at=moment))
    return ada


def test_purge_counts_only_when_asked_to(app: Flask, old: Person) -> None:
    result = run(app, "history", "purge", "--days", "30", "--dry-run")
    assert (result.exit_code, result.output) == (0, "Would delete 2 turns older than 30 days.\n")
    assert len(old.history()) == 3


def test_purge_deletes_and_says_so_in_one_line(app: Flask, old: Person) -> None:
    assert run(app, "history", "purge", "--days", "50").output == (
        "Deleted 0 turns and 0 conversations older than 50 days.\n"
    )
    result = run(app, "history", "purge")
    assert (result.exit_code, result.output) == (0, "Deleted 2 turns and 2 conversations older than 30 days.\n")
    assert [turn["user_message"] for turn in old.history()] == ["m2"]


def test_purge_shows_progress_to_a_person(app: Flask, old: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    shown: list[bool] = []
    progressbar = click.progressbar

    def look(*args, **options):
        shown.append(not options["hidden"])
        return progressbar(*args, **options)

    monkeypatch.setattr(click, "progressbar", look)
    run(app, "history", "purge")
    monkeypatch.setattr("chatbot.cli.history.watched", lambda: True)
    run(app, "history", "purge")
    assert shown == [False, True]


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", "99999999"])
def test_purge_refuses_an_odd_age(app: Flask, old: Person, days: str) -> None:
    assert run(app, "history", "purge", "--days", days).exit_code == 2
    assert len(old.history()) == 3


def test_purge_asks_for_force_when_the_clock_jumped(app: Flask, old: Person) -> None:
    run(app, "history", "purge", "--days", "50")
    with app.app_context(), write("test") as connection:
        connection.execute(db.update(Lease).values(heartbeat_at=now() - timedelta(days=8)))
    result = run(app, "history", "purge")
    assert (result.exit_code, result.output[:23]) == (1, "Error: The clock jumped")
    assert len(old.history()) == 3
    assert run(app, "history", "purge", "--force").exit_code == 0
    assert len(old.history()) == 1


def test_usage_report_has_a_line_for_each_group_and_the_total(app: Flask, ada: Person) -> None:
    turn = ada.says("hi").get_json()
    head, line, total = run(app, "usage", "report", "--by", "model", "--bucket", "month").output.splitlines()
    assert line.split("\t")[1:3] == [turn["model"], "1"]
    assert dict(zip(head.split("\t"), total.split("\t"), strict=True))["prompt_tokens"] == str(
        turn["usage"]["prompt_tokens"]
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tz", "Mars/Base"], "Error: tz: There is no such time zone; name one as 'Europe/Berlin'."),
        (["--from", "2020-01-01"], "Error: At most 400 days."),
    ],
)
def test_usage_report_refuses_with_one_line(app: Flask, options: list[str], said: str) -> None:
    result = run(app, "usage", "report", *options)
    assert (result.exit_code, result.output) == (1, said + "\n")
