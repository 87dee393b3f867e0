"""The networks that connections are counted by."""

import pytest

from chatbot.connections import network


@pytest.mark.parametrize(
    ("addr", "expected"),
    [
        (("10.1.2.3", 5000), "10.1.2.3"),
        (("::ffff:10.1.2.3", 5000, 0, 0), "10.1.2.3"),
        (("2001:db8:1:2:3::4", 5000, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5000, 0, 2), "fe80::/64"),
        ("", ""),
        (b"", ""),
    ],
)
def test_network_of_a_connection(addr: object, expected: str) -> None:
    assert network(addr) == expected
