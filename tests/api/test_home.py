"""The page at `/`."""

import re

import pytest
from flask.testing import FlaskClient

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_browser_gets_a_page_whose_links_lead_somewhere(client: FlaskClient) -> None:
    response = client.get("/", headers={"Accept": BROWSER})
    assert (response.status_code, response.mimetype, response.headers["Vary"]) == (200, "text/html", "Accept")
    addresses = re.findall('href="([^"#]+)', response.text)
    assert len(addresses) == 7
    assert {client.get(address).status_code for address in addresses} == {200}


@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_other_clients_get_json(client: FlaskClient, accept: str | None) -> None:
    response = client.get("/", headers={"Accept": accept} if accept else {})
    assert response.get_json()["openapi"] == "/api/openapi.json"
