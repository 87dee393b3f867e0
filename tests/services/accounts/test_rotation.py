"""Any order of refreshes, lost answers, thefts and pauses: sessions end when two sides hold them, and never else."""

import itertools
from datetime import datetime, timedelta

import pytest
import time_machine
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from chatbot.database.types import now
from chatbot.errors import SessionEnded, Unauthenticated
from chatbot.services.accounts import authentication, rotation, sessions, tokens
from tests.conftest import PASSWORD, MakeApp, join

PAUSES = (1, 5, 9, 11, 400, 1_000, 86_400)  # seconds
BORDER = timedelta(seconds=1)  # within which of the grace's end nothing is claimed
_names = itertools.count()


class RefreshMachine(RuleBasedStateMachine):
    """A client with several tabs, and a thief with a copy of its refresh token; answers get lost."""

    app: Flask
    clock: time_machine.Traveller

    @initialize()
    def log_in(self) -> None:
        name = f"ada{next(_names)}"
        join(self.app.test_client(), name)
        with self.app.app_context():
            login = sessions.log_in(f"{name}@example.org", PASSWORD)
        self.holders = {"client": login}
        self.generations = [login.refresh_token]
        self.seen: dict[str, datetime] = {}
        self.is_ended = False

    @rule(who=st.sampled_from(["client", "thief"]), is_lost=st.booleans())
    def refresh(self, who: str, is_lost: bool) -> None:
        held = self.holders.get(who)
        if held is None:
            return
        expected = self._expect(held.refresh_token)
        try:
            with self.app.app_context():
                given = rotation.refresh(held.refresh_token)
        except SessionEnded:
            assert expected != "given"
            self.is_ended = True
            return
        assert expected != "ended"
        if given.refresh_token not in self.generations:
            self.generations.append(given.refresh_token)
            self.seen.setdefault(held.refresh_token, now())
        assert self.generations.index(given.refresh_token) == self.generations.index(held.refresh_token) + 1
        if not is_lost:
            self.holders[who] = given

    @rule(who=st.sampled_from(["client", "thief"]))
    def use(self, who: str) -> None:
        held = self.holders.get(who)
        if held is None:
            return
        try:
            with self.app.app_context():
                authentication.authenticate(held.access_token)
        except SessionEnded:
            assert self.is_ended
        except Unauthenticated:  # the access token has expired
            assert held.expires_in <= tokens.ACCESS_LIFETIME.total_seconds()
        else:
            assert not self.is_ended
            self.seen.setdefault(held.refresh_token, now())

    @precondition(lambda self: "thief" not in self.holders)
    @rule()
    def steal(self) -> None:
        self.holders["thief"] = self.holders["client"]

    @rule(seconds=st.sampled_from(PAUSES))
    def wait(self, seconds: int) -> None:
        self.clock.shift(timedelta(seconds=seconds))

    def _expect(self, token: str) -> str:
        """Return the answer to a refresh token: "given", "ended", or "either" at the border of the grace."""
        if self.is_ended:
            return "ended"
        behind = len(self.generations) - 1 - self.generations.index(token)
        if behind == 0:
            return "given"
        seen_at = self.seen.get(self.generations[-behind])
        if behind > 2:
            return "ended"
        if seen_at is None or now() - seen_at < rotation.GRACE_PERIOD - BORDER:
            return "given"
        return "ended" if now() - seen_at > rotation.GRACE_PERIOD + BORDER else "either"


@pytest.mark.both_databases
def test_sessions_end_when_two_sides_hold_them_and_never_else(make_app: MakeApp, clock: time_machine.Traveller) -> None:
    machine = type("BoundMachine", (RefreshMachine,), {"app": make_app(), "clock": clock})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
