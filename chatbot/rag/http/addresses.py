"""Addresses of the web that may be fetched: their form, and the networks that are never connected to.

The table is explicit: `ipaddress.is_global` is true for forms of loopback behind NAT64 and 6to4.
"""

import ipaddress
import re
from collections.abc import Set
from dataclasses import dataclass
from urllib.parse import quote, unquote

PORTS = {"http": 80, "https": 443}
MAX_ADDRESS_LENGTH = 8_192  # characters of an address
# What is in none of these forms is refused, not repaired: two readers who repair differently see two hosts.
# Without ASCII, the flag for either case would take U+017F for an s and U+212A for a k.
URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[0-9a-z.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:/[^?#\\\x00-\x20\x7f-\x9f]*)?(?:\?[^#\\\x00-\x20\x7f-\x9f]*)?)(?:#[^\\\x00-\x20\x7f-\x9f]*)?",
    re.ASCII | re.IGNORECASE,
)
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# No top-level domain begins with a digit; 2130706433, 0x7f.1 and 017700000001 end in what does.
NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{LABEL}\.)*(?![0-9]){LABEL}")
UNESCAPED = "%/?:@!$&'()*+,;=~"

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
DENIED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 1122); Linux takes 0.0.0.0 for itself
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); metadata of Alibaba's cloud
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's platform: public by its number, in truth the virtual machine's host
        "169.254.0.0/16",  # link-local (RFC 3927); metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments (RFC 6890); metadata of Oracle's cloud
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.31.196.0/24",  # AS112 (RFC 7535): each network has its own
        "192.52.193.0/24",  # AMT relays (RFC 7450)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/3",  # loopback, IPv4-mapped and -compatible, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard (100::/64)
        "2001::/23",  # protocol assignments (RFC 2928): Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056)
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation (RFC 9637)
        "4000::/2",  # no global unicast: that is 2000::/3 alone (RFC 4291); segment routing (5f00::/16)
        "8000::/1",  # unique-local (fc00::/7), link-local (fe80::/10), site-local (fec0::/10), multicast (ff00::/8)
    )
)


@dataclass(frozen=True, slots=True)
class Address:
    """An address taken apart. `host` is in lower case, IPv6 in brackets; `path` begins with "/" and has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """The host as the resolver and certificates have it: IPv6 without brackets."""
        return self.host.strip("[]")

    @property
    def authority(self) -> str:
        """The host, with the port where it is not the scheme's own (RFC 9110, 7.2)."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address, without a fragment."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def file_name(self) -> str:
        """The last segment of the path in plain characters, or "" where it has none: a claim, safe as no file's name.

        What is escaped does not come back as a slash, a backslash or a control character.
        """
        segment = unquote(self.path.partition("?")[0].rpartition("/")[2])
        return "".join(filter(str.isprintable, segment.replace("\\", "/").rpartition("/")[2]))


def parse(url: str) -> Address:
    """Take an address apart.

    Raises ValueError for all that is not plain: other schemes, user names, backslashes, white space and control
    characters; hosts that are neither a name in ASCII nor an address in the one usual form.
    """
    match = URL.fullmatch(url) if len(url) <= MAX_ADDRESS_LENGTH else None
    if match is None:
        raise ValueError("not a plain http or https address")
    scheme = match["scheme"].lower()
    path = match["path"]
    port = int(match["port"] or PORTS[scheme])
    if port > 65_535:
        raise ValueError("no such port")
    path = path if path.startswith("/") else f"/{path}"
    return Address(scheme, _host(match["host"].lower()), port, quote(path, safe=UNESCAPED))


def check_server(address: Address, allowed_hosts: Set[str] | None) -> None:
    """Raise ValueError unless this host and port may be asked; `allowed_hosts` is as for `fetch`."""
    usual = address.port in PORTS.values()
    if allowed_hosts is None:
        permitted = usual
    else:
        permitted = _is_listed(address, allowed_hosts) or (usual and address.host in allowed_hosts)
    if not permitted:
        raise ValueError("this host and port are not permitted")


def check_place(place: str, address: Address, allowed_hosts: Set[str] | None) -> None:
    """Raise ValueError unless the resolved IPv4 or IPv6 address may be connected to.

    An address on loopback may, when it is what the list has, with its port, and what was asked for. A name will not
    do: its owner could point it at any service of this machine.
    """
    if is_denied(place) and not (place == address.name and _is_loopback(place) and _is_listed(address, allowed_hosts)):
        raise ValueError("the host is in a denied network")


def is_denied(place: str) -> bool:
    """Return whether an IP address is in a denied network, has a zone, or is none at all."""
    try:
        ip = ipaddress.ip_address(place)
    except ValueError:
        return True
    return "%" in place or any(ip in network for network in DENIED)


def _host(host: str) -> str:
    if host.startswith("["):
        return f"[{ipaddress.IPv6Address(host[1:-1])}]"
    return host if NAME.fullmatch(host) else str(ipaddress.IPv4Address(host))


def _is_listed(address: Address, allowed_hosts: Set[str] | None) -> bool:
    return allowed_hosts is not None and f"{address.host}:{address.port}" in allowed_hosts


def _is_loopback(place: str) -> bool:
    return any(ipaddress.ip_address(place) in network for network in LOOPBACK)
