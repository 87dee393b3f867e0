"""The outbox of a process that dies between two steps of a mail: it is not lost, and is sent twice at most."""

from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from flask import Flask

from chatbot.database import failpoints
from chatbot.mail.ports import Letter
from chatbot.services.accounts.mails import mail_tokens, outbox
from tests.api.test_mail_tokens import app, ask, deliver, token_of
from tests.conftest import Person

__all__ = ["app", "deliver"]
pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("step", ["claim_mail", "compose_mail", "forget_mail"])
@pytest.mark.parametrize("point", ["written", "committed"])
def test_mail_outlives_the_process_that_sends_it(
    app: Flask,
    ada: Person,
    deliver: Callable[[], list[Letter]],
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    point: str,
) -> None:
    deliver()
    clock.shift(mail_tokens.MIN_INTERVAL)
    assert ask(ada.client, "password-reset", email="ada@example.org") == (202, None)

    def die(name: str) -> None:
        if name == f"{step}:{point}":
            raise KeyboardInterrupt

    with monkeypatch.context() as dying, app.app_context(), pytest.raises(KeyboardInterrupt):
        dying.setattr(failpoints, "reach", die)
        outbox.send_waiting()
    clock.shift(outbox.CLAIM_PERIOD)
    sent = deliver()
    clock.shift(outbox.CLAIM_PERIOD)
    assert deliver() == []
    assert len(sent) == (2 if (step, point) == ("forget_mail", "written") else 1)
    assert len({letter.id for letter in sent}) == 1  # its Message-ID, by which a reader may drop the second
    confirmed: dict[str, Any] = {"token": token_of(sent[-1]), "new_password": "another sound passphrase"}
    assert ask(ada.client, "password-reset/confirm", **confirmed) == (204, None)
