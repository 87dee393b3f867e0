"""Rate limits."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chatbot.extensions import limiter
from chatbot.web import rate_limits
from chatbot.web.login_limits import DELAY_SECONDS
from tests.conftest import PASSWORD, MakeApp, Person, join

pytestmark = pytest.mark.both_databases

LIMITS = {
    "RATELIMIT_ENABLED": "true",
    "RATE_LOGIN_ACCOUNT": "3 per minute",
    "RATE_LOGIN_ADDRESS": "5 per minute",
    "RATE_LOGIN_GLOBAL": "8 per minute",
    "RATE_SIGNUP_ADDRESS": "4 per minute",
    "RATE_CHAT_USER": "2 per minute; 50 per hour",
    "RATE_CHAT_ADDRESS": "3 per minute",
    "RATE_REFRESH_ADDRESS": "2 per minute",
    "TRUSTED_PROXIES": "1",
}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(**LIMITS)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that logins and sign-ups were given, without waiting for them here."""
    given: list[float] = []
    monkeypatch.setattr("chatbot.web.login_limits.sleep", given.append)
    return given


def log_in(client: FlaskClient, email: object, address: str = "10.0.0.1") -> int:
    body = {"email": email, "password": "guess guess"}
    return client.post("/api/users/login/", json=body, headers={"X-Forwarded-For": address}).status_code


def test_one_account_from_one_address_is_limited_in_whatever_case(client: FlaskClient) -> None:
    emails = ["a@example.org", "A@example.org", " a@EXAMPLE.org", "a@example.org"]
    assert [log_in(client, email) for email in emails] == [401, 401, 401, 429]


def test_guesses_from_elsewhere_never_refuse_the_owner(make_app: MakeApp) -> None:
    app = make_app(**{**LIMITS, "RATE_LOGIN_ADDRESS": "100 per minute", "RATE_LOGIN_GLOBAL": "20 per minute"})
    client = app.test_client()
    join(app.test_client(), "anna")
    guesses = [log_in(client, "anna@example.org", f"10.0.{n % 6}.1") for n in range(24)]
    assert guesses == [401] * 18 + [429] * 6
    body = {"email": "anna@example.org", "password": PASSWORD}
    answer = client.post("/api/users/login/", json=body, headers={"X-Forwarded-For": "10.9.9.9"})
    assert answer.status_code == 200


def test_guesses_beyond_the_total_are_slow_and_the_address_of_the_owner_is_not(
    make_app: MakeApp, pauses: list[float]
) -> None:
    app = make_app(**{**LIMITS, "RATE_LOGIN_TOTAL": "2 per hour", "RATE_LOGIN_ACCOUNT": "20 per minute"})
    client = app.test_client()
    body = {"email": "anna@example.org", "password": PASSWORD}
    join(app.test_client(), "anna")  # logs in, from 127.0.0.1
    for number in range(4):
        assert log_in(client, "anna@example.org", f"10.0.{number}.1") == 401
    assert pauses.count(DELAY_SECONDS) == 3  # the owner's first login from there was one of the two
    assert client.post("/api/users/login/", json=body).status_code == 200
    assert pauses.count(DELAY_SECONDS) == 3
    elsewhere = {"X-Forwarded-For": "10.9.9.9"}
    assert client.post("/api/users/login/", json=body, headers=elsewhere).status_code == 200  # slow, but let in
    assert pauses.count(DELAY_SECONDS) == 4


def test_many_accounts_from_one_address_are_limited(client: FlaskClient) -> None:
    assert [log_in(client, f"u{n}@example.org") for n in range(6)] == [401] * 5 + [429]


def test_guesses_of_everybody_together_are_slow_and_refuse_nobody(
    app: Flask, client: FlaskClient, pauses: list[float]
) -> None:
    join(app.test_client(), "anna")  # logs in, from 127.0.0.1
    tries = [log_in(client, f"u{n}@example.org", f"10.0.{n}.1") for n in range(9)]
    delayed = client.post("/api/users/login/", json={"email": "u@example.org", "password": "guess guess"})
    assert int(delayed.headers["RateLimit-Remaining"]) >= 1  # what is delayed is not announced as refused
    pauses.pop()
    assert (tries, pauses.count(DELAY_SECONDS)) == ([401] * 9, 2)  # anna's was the first of eight
    body = {"email": "anna@example.org", "password": PASSWORD}
    assert client.post("/api/users/login/", json=body).status_code == 200
    assert pauses.count(DELAY_SECONDS) == 2


def test_sign_ups_of_everybody_together_are_slow_and_refuse_nobody(make_app: MakeApp, pauses: list[float]) -> None:
    client = make_app(**{**LIMITS, "RATE_SIGNUP_GLOBAL": "2 per minute"}).test_client()
    for number in range(4):
        account = {"email": f"u{number}@example.org", "username": f"user{number}", "password": PASSWORD}
        answer = client.post(
            "/api/users/signup/",
            json={**account, "password_confirm": PASSWORD},
            headers={"X-Forwarded-For": f"10.0.{number}.1"},
        )
        assert answer.status_code == 201
    assert pauses.count(DELAY_SECONDS) == 2


def test_one_ipv6_household_is_one_address(client: FlaskClient) -> None:
    tries = [log_in(client, f"u{n}@example.org", f"2001:db8:1:2::{n + 1}") for n in range(6)]
    assert tries == [401] * 5 + [429]
    assert log_in(client, "u9@example.org", "2001:db8:1:3::1") == 401


def test_many_networks_of_one_provider_have_four_and_sixteen_times_the_bound(make_app: MakeApp) -> None:
    client = make_app(**{**LIMITS, "RATE_LOGIN_GLOBAL": "1000 per minute"}).test_client()
    in_one_56 = [log_in(client, f"u{n}@example.org", f"2001:db8:1:{n:x}::1") for n in range(22)]
    assert in_one_56 == [401] * 20 + [429] * 2
    in_one_48 = [log_in(client, f"v{n}@example.org", f"2001:db8:1:{256 * (1 + n // 10) + n:x}::1") for n in range(64)]
    assert in_one_48 == [401] * 60 + [429] * 4
    assert log_in(client, "w@example.org", "2001:db8:2::1") == 401


def test_routes_of_one_kind_share_one_limit(app: Flask) -> None:
    person = join(app.test_client(), "anna")
    turn = person.says("Hi").get_json()
    assert person.call("POST", f"/api/chat/{turn['id']}/regenerate/", {}).status_code == 200
    wanted = {"model": "memory", "messages": [{"role": "user", "content": "Hi"}]}
    assert person.call("POST", "/v1/chat/completions", wanted).status_code == 429


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_key_that_cannot_be_made_counts_as_one_and_switches_nothing_over(app: Flask) -> None:
    def fails() -> str:
        raise ValueError

    @app.get("/odd")
    @rate_limits.limit(RATE_REFRESH_ADDRESS=fails)
    def odd() -> str:
        return "odd"

    client = app.test_client()
    assert [client.get("/odd").status_code for _ in range(3)] == [200, 200, 429]
    assert limiter.limiter.storage is limiter.storage


def test_every_route_is_limited(app: Flask) -> None:
    """Reads and writes are counted; `/healthz` asks nothing, and probes must not be refused."""
    unlimited = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if not rule.websocket  # whose events are counted one by one
        and not getattr(app.view_functions[rule.endpoint], "__wrapper-limiter-instance", None)
        and "429"
        not in getattr(app.view_functions[rule.endpoint], "_apidoc", {}).get("manual_doc", {}).get("responses", {})
    ]
    assert unlimited == ["/healthz"]


def test_port_behind_an_address_makes_no_other_of_it(client: FlaskClient) -> None:
    forms = ["10.1.1.1:1000", "10.1.1.1:2000", "::ffff:10.1.1.1", "[::ffff:10.1.1.1]:3000", "10.1.1.1", "10.1.1.1:9"]
    assert [log_in(client, f"u{n}@example.org", form) for n, form in enumerate(forms)] == [401] * 5 + [429]


def test_ipv4_addresses_in_ipv6_form_are_not_one_household(client: FlaskClient) -> None:
    assert {log_in(client, f"u{n}@example.org", f"::ffff:10.1.1.{n + 1}") for n in range(7)} == {401}


def test_answer_comes_without_its_headers_when_the_storage_goes_away_meanwhile(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(limiter.limiter, "get_window_stats", gone)
    response = client.post("/api/users/login/", json={"email": "a@example.org", "password": "guess guess"})
    assert response.status_code == 401
    assert "RateLimit-Limit" not in response.headers
    assert response.headers["X-Request-ID"]


def test_odd_address_and_odd_body_are_counted_too(client: FlaskClient) -> None:
    tries = [log_in(client, {"a": n}, "not an address") for n in range(6)]
    assert tries == [400] * 5 + [429]


def test_body_that_cannot_be_read_does_not_switch_limits_off(client: FlaskClient) -> None:
    for data, kind in ((b"{", "application/json"), (b"x", "text/plain"), (b"x" * 1_100_000, "application/json")):
        client.post("/api/users/login/", data=data, content_type=kind)
    assert [log_in(client, "a@example.org") for _ in range(4)].count(429) >= 1


def test_signups_and_refreshes_are_limited(client: FlaskClient) -> None:
    assert [client.post("/api/users/signup/", json={}).status_code for _ in range(5)] == [400] * 4 + [429]
    assert [client.post("/api/users/refresh/", json={}).status_code for _ in range(3)] == [400] * 2 + [429]


def test_chat_is_limited_per_user_and_per_address(app: Flask) -> None:
    a = join(app.test_client(), "anna")
    b = join(app.test_client(), "bert")
    assert [a.says("Hi").status_code for _ in range(3)] == [200, 200, 429]
    assert [b.says("Hi").status_code for _ in range(2)] == [200, 429]  # the fourth from this address
    assert a.call("GET", "/api/chat-history/").status_code == 200


def test_answers_announce_the_tightest_limit(app: Flask) -> None:
    person = join(app.test_client(), "anna")
    headers = [person.says("Hi").headers for _ in range(3)]
    assert [h["RateLimit-Limit"] for h in headers] == ["2"] * 3
    assert [h["RateLimit-Remaining"] for h in headers] == ["1", "0", "0"]
    assert all(0 < int(h["RateLimit-Reset"]) <= 60 for h in headers)
    assert "Retry-After" not in headers[1]
    assert 0 < int(headers[2]["Retry-After"]) <= 60


def test_refused_message_is_a_problem_and_stores_nothing(app: Flask) -> None:
    person = join(app.test_client(), "anna")
    for _ in range(2):
        person.says("Hi")
    body = person.says("One too many").get_json()
    assert (body["code"], body["status"], body["retryable"]) == ("rate_limited", 429, True)
    assert len(person.history()) == 2


def test_forwarded_addresses_are_believed_only_behind_a_proxy(make_app: MakeApp) -> None:
    client = make_app(**{**LIMITS, "TRUSTED_PROXIES": "0"}).test_client()
    assert [log_in(client, f"u{n}@example.org", f"10.0.{n}.1") for n in range(6)] == [401] * 5 + [429]


def test_limits_can_be_switched_off(make_app: MakeApp) -> None:
    client = make_app(**{**LIMITS, "RATELIMIT_ENABLED": "false"}).test_client()
    assert {log_in(client, "a@example.org") for _ in range(12)} == {401}


def test_limits_go_on_in_memory_when_redis_is_away(make_app: MakeApp) -> None:
    client = make_app(**{**LIMITS, "REDIS_URL": "redis://127.0.0.1:9/0"}).test_client()
    assert [log_in(client, f"u{n}@example.org") for n in range(6)] == [401] * 5 + [429]


def test_person_is_counted_by_account_not_by_token(app: Flask) -> None:
    person = join(app.test_client(), "anna")
    tokens = person.client.post("/api/users/refresh/", json={"refresh_token": person.refresh_token}).get_json()
    other = Person(person.client, "anna", person.id, tokens["access_token"], "")
    assert [p.says("Hi").status_code for p in (person, other, person)] == [200, 200, 429]
