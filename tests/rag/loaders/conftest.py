"""Fixtures of the tests of fetching."""

from pathlib import Path

import pytest
import trustme


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the key and certificate of docs.test; the file is the trusted authority, too."""
    authority = trustme.CA()
    made = authority.issue_cert("docs.test")
    path = tmp_path_factory.mktemp("tls") / "docs.pem"
    made.private_key_and_cert_chain_pem.write_to_path(path)
    authority.cert_pem.write_to_path(path, append=True)
    return path
