"""Whether times tell addresses with an account from others: wrong logins, requests for mails, guesses of codes."""

import contextlib
import tempfile
from functools import partial
from pathlib import Path

from bench.applications import application
from bench.report import Report
from chatbot.errors import CodeWrong, InvalidCredentials
from chatbot.services.accounts import accounts, sessions
from chatbot.services.accounts.mails import mail_tokens, outbox, password_reset
from tests.support.roles import disable
from tests.support.timing import measure_furthest_pair

PASSWORD = "a sound passphrase"  # noqa: S105 - of made-up accounts
ADDRESSES = {name: f"{name}@example.org" for name in ("known", "asked", "disabled", "unknown")}


def measure(report: Report, tries: int) -> None:
    """Measure each door with so many tries of each address, in random order."""
    mail_tokens.MIN_INTERVAL = mail_tokens.CODE_LIFETIME * 0  # what bounds guesses is not what is measured
    settings = {"MAIL_URL": "memory:", "BCRYPT_ROUNDS": "8"}
    with tempfile.TemporaryDirectory() as name, application(Path(name), **settings) as app, app.app_context():
        for account in ("known", "asked", "disabled"):
            accounts.sign_up(ADDRESSES[account], account, PASSWORD)
        disable(ADDRESSES["disabled"])
        _measure_doors(report, tries)


def _measure_doors(report: Report, tries: int) -> None:
    doors = {"login": _log_in, "request for a mail": password_reset.request, "guess of a code": _guess}
    for door, knock in doors.items():
        if door == "guess of a code":
            password_reset.request(ADDRESSES["asked"])
            outbox.send_waiting()
        cases = {name: partial(knock, address) for name, address in ADDRESSES.items()}
        one, other, errors = measure_furthest_pair(cases, tries)
        print(f"{door}: furthest are {one} and {other}")
        report.tell(f"{door}: AUC from .5, in standard errors, {tries} tries", abs(errors), "", 3, more=False)


def _log_in(address: str) -> None:
    with contextlib.suppress(InvalidCredentials):
        sessions.log_in(address, "another passphrase")


def _guess(address: str) -> None:
    with contextlib.suppress(CodeWrong):
        password_reset.confirm_by_code(address, "000000", "another sound passphrase")
