"""How addresses may be written, and which networks are never connected to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag.http.addresses import DENIED, Address, check_place, check_server, is_denied, parse

DENIED_PLACES = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.31.196.1",
    "192.52.193.1", "192.88.99.1", "192.168.1.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::a00:1", "64:ff9b:1:ffff::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:2::1",
    "2001:10::1", "2001:20::1", "2001:1ff::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2620:4f:8000::1",
    "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "2606:4700::1111%eth0", "", "localhost", "127.1", "0x7f000001", "2130706433",
]  # fmt: skip
PUBLIC_PLACES = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "128.0.0.0", "126.255.255.255",
    "168.63.129.17", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111",
    "2620:4f:8001::", "3ffe::1",
]  # fmt: skip


@pytest.mark.parametrize("place", DENIED_PLACES)
def test_what_lies_in_a_denied_network_or_is_no_address_is_denied(place: str) -> None:
    assert is_denied(place)


@pytest.mark.parametrize("place", PUBLIC_PLACES)
def test_what_lies_next_to_a_denied_network_is_not_denied(place: str) -> None:
    assert not is_denied(place)


@given(st.ip_addresses())
def test_whatever_the_library_calls_not_global_is_denied(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if not ip.is_global or ip.is_multicast:
        assert is_denied(str(ip))


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_gets_through_inside_an_ipv6_one(ip: ipaddress.IPv4Address) -> None:
    number = int(ip)
    nat64 = int(ipaddress.IPv6Address("64:ff9b::"))
    teredo = int(ipaddress.IPv6Address("2001::"))
    forms = [number, 0xFFFF << 32 | number, nat64 | number, 0x2002 << 112 | number << 80, teredo | number ^ 0xFFFFFFFF]
    assert [is_denied(str(ipaddress.IPv6Address(form))) for form in forms] == [True] * 5


def test_no_network_of_the_table_lies_in_another() -> None:
    for network in DENIED:
        assert [str(other) for other in DENIED if other.version == network.version and network.subnet_of(other)] == [  # type: ignore[arg-type]  # of one version by now
            str(network)
        ]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://docs.test", Address("http", "docs.test", 80, "/")),
        ("HTTPS://Docs.Test/A/b", Address("https", "docs.test", 443, "/A/b")),
        ("http://docs.test:8080?a=b&c=%20#part", Address("http", "docs.test", 8080, "/?a=b&c=%20")),
        ("http://1.1.1.1/", Address("http", "1.1.1.1", 80, "/")),
        ("http://[2606:4700:0::1111]:80/", Address("http", "[2606:4700::1111]", 80, "/")),
        ("http://intranet/a//b/../c", Address("http", "intranet", 80, "/a//b/../c")),
        ("http://xn--mnchen-3ya.de/straße?ü", Address("http", "xn--mnchen-3ya.de", 80, "/stra%C3%9Fe?%C3%BC")),
        ("http://3com.test/", Address("http", "3com.test", 80, "/")),
        ("http://docs.test/user@host", Address("http", "docs.test", 80, "/user@host")),
    ],
)
def test_plain_addresses_are_taken_apart(url: str, address: Address) -> None:
    assert parse(url) == address
    assert parse(parse(url).url) == address


@pytest.mark.parametrize(
    ("longest", "longer"),
    [
        ("http://docs.test:65535/", "http://docs.test:65536/"),
        (f"http://docs.test/{'a' * 8_175}", f"http://docs.test/{'a' * 8_176}"),
        (f"http://{'a' * 63}.test/", f"http://{'a' * 64}.test/"),
        (f"http://{'a.' * 124}atest/", f"http://{'a.' * 125}test/"),
    ],
)
def test_longest_of_each_is_accepted_and_one_more_is_not(longest: str, longer: str) -> None:
    parse(longest)
    with pytest.raises(ValueError):
        parse(longer)


PARTS = ["http://", "https://", "docs", ".test", "127", ".", "0", "1", "0x7f", ":", "80", "[", "]", "::1", "@", "%25", "\\", "/", "?", "#", " ",
         "\t", "\n", "\x00", "１", "。", "①", "ſ", "K", "é", "\x85", "\u2028", "-", "_"]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join), st.sampled_from(["", "http://", "http://docs.test/"]))
def test_whatever_is_accepted_is_ascii_without_spaces_and_has_a_canonical_host(rest: str, start: str) -> None:
    try:
        address = parse(start + rest)
    except ValueError:
        return
    assert address.url.isascii()
    assert address.url.isprintable()
    assert not set(address.url) & set(" \\")
    assert not set(address.authority) & set("@%/?#")
    if address.host.rpartition(".")[2][0] in "[0123456789":
        assert str(ipaddress.ip_address(address.name)) == address.name


@pytest.mark.parametrize(
    ("path", "name"),
    [("/", ""), ("/a/report.pdf?x=/y.txt", "report.pdf"), ("/a/", ""), ("/r%C3%A9sum%C3%A9%20.txt", "résumé .txt"),
     ("/..%2F..%2Fetc%2Fpasswd", "passwd"), ("/..%5Cboot.ini", "boot.ini"), ("/a%00b%0A.txt", "ab.txt"),
     ("/a%E2%80%AEfdp.exe", "afdp.exe")],
)  # fmt: skip
def test_name_is_the_last_segment_without_what_separates_or_controls(path: str, name: str) -> None:
    assert parse(f"http://docs.test{path}").file_name == name


@pytest.mark.parametrize(
    ("url", "allowed", "permitted"),
    [
        ("http://docs.test/", None, True),
        ("http://docs.test:443/", None, True),
        ("http://docs.test:8080/", None, False),
        ("http://docs.test:22/", None, False),
        ("http://docs.test/", frozenset(), False),
        ("https://docs.test/", {"docs.test"}, True),
        ("http://docs.test:8080/", {"docs.test"}, False),
        ("http://docs.test:8080/", {"docs.test:8080"}, True),
        ("http://docs.test/", {"docs.test:8080"}, False),
        ("http://docs.test/", {"docs.test:80"}, True),
        ("http://DOCS.test/", {"docs.test"}, True),
        ("http://a.docs.test/", {"docs.test"}, False),
        ("http://docs.test.evil.test/", {"docs.test"}, False),
        ("http://[2606:4700:0::1]:81/", {"[2606:4700::1]:81"}, True),
    ],
)
def test_ports_and_hosts_are_those_of_the_list(url: str, allowed: frozenset[str] | None, permitted: bool) -> None:
    if permitted:
        check_server(parse(url), allowed)
    else:
        with pytest.raises(ValueError, match="not permitted"):
            check_server(parse(url), allowed)


@pytest.mark.parametrize(
    ("url", "allowed", "place", "permitted"),
    [
        ("http://127.0.0.1:81/", {"127.0.0.1:81"}, "127.0.0.1", True),
        ("http://[::1]:81/", {"[::1]:81"}, "::1", True),
        ("http://127.0.0.1/", {"127.0.0.1:80"}, "127.0.0.1", True),
        ("http://127.0.0.1/", {"127.0.0.1"}, "127.0.0.1", False),
        ("http://127.0.0.1:81/", {"127.0.0.1:82"}, "127.0.0.1", False),
        ("http://127.0.0.1:81/", {"127.0.0.1:81"}, "127.0.0.2", False),
        ("http://localhost:81/", {"localhost:81"}, "127.0.0.1", False),
        ("http://10.0.0.1:81/", {"10.0.0.1:81"}, "10.0.0.1", False),
        ("http://[::ffff:127.0.0.1]:81/", {"[::ffff:7f00:1]:81"}, "::ffff:7f00:1", False),
        ("http://docs.test:81/", {"docs.test:81"}, "10.0.0.1", False),
        ("http://docs.test:81/", {"docs.test:81"}, "1.1.1.1", True),
        ("http://docs.test/", None, "1.1.1.1", True),
        ("http://127.0.0.1/", None, "127.0.0.1", False),
    ],
)
def test_only_loopback_that_is_listed_by_address_and_port_is_excepted(
    url: str, allowed: frozenset[str] | None, place: str, permitted: bool
) -> None:
    if permitted:
        check_place(place, parse(url), allowed)
    else:
        with pytest.raises(ValueError, match="denied network"):
            check_place(place, parse(url), allowed)
