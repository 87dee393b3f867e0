"""Targets of requests that are no route's."""

import pytest
from flask.testing import FlaskClient


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", 'a"b', "\u00fc", "a?b"])
def test_host_that_is_none_is_400(shared_client: FlaskClient, host: str) -> None:
    response = shared_client.get("/healthz", environ_overrides={"HTTP_HOST": host})
    assert (response.status_code, response.get_json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("host", ["", "my_service:8000", "[::1]:80", "xn--bcher-kva.example", "localhost"])
def test_any_real_host_is_served(shared_client: FlaskClient, host: str) -> None:
    assert shared_client.get("/healthz", environ_overrides={"HTTP_HOST": host}).status_code == 200


def test_server_as_a_whole_has_its_options(shared_client: FlaskClient) -> None:
    response = shared_client.options("/", environ_overrides={"PATH_INFO": "*"})
    assert (response.status_code, response.data) == (204, b"")
    assert shared_client.get("/", environ_overrides={"PATH_INFO": "*"}).status_code == 404


@pytest.mark.parametrize("path", ["/api/chat/", "/v1/models", "/api/documents/", "/healthz"])
def test_options_of_a_route_need_no_login(shared_client: FlaskClient, path: str) -> None:
    response = shared_client.options(path)
    assert (response.status_code, response.data) == (200, b"")
    assert "OPTIONS" in response.headers["Allow"]
