"""The networks that the addresses of clients are counted by.

gunicorn's arbiter loads this file by its path: it imports nothing of ours.
"""

import functools
import ipaddress
import re

WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([0-9.]+):\d+")  # as some proxies write an address
HOUSEHOLD = 64  # prefix of the smallest IPv6 network that one customer of a provider has
# The usual larger ones with the factors of their bounds: without them, a customer with a /48 has 65,536 households
# (RFC 6177).
WIDER_FACTORS = {56: 4, 48: 16}
WIDEST = 48
SHOWN = {4: 24, 6: 48}  # prefixes of the networks that users are shown
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parsed(written: str) -> Address | None:
    """Parse an address; an IPv4 one in IPv6's form becomes IPv4, an invalid one None."""
    found = WITH_PORT.fullmatch(written)
    try:
        address = ipaddress.ip_address(found[1] or found[2] if found else written.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def network(address: Address, prefix: int) -> str:
    """Return the network of an IPv6 address, or the IPv4 address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, prefix), strict=False))
    return str(address)


@functools.lru_cache(maxsize=4096)
def provider_network(written: str) -> str:
    """Return the widest network that an address counts for, or an empty text for an invalid address."""
    address = parsed(written)
    return network(address, WIDEST) if address else ""


def shown_network(written: str) -> str | None:
    """Return the network that a user is shown of an address: a town, not a household; None for an invalid one."""
    address = parsed(written)
    return str(ipaddress.ip_network((address, SHOWN[address.version]), strict=False)) if address else None


@functools.lru_cache(maxsize=4096)
def factors(written: str) -> dict[str, int]:
    """Return the networks that an address counts for, each with the factor of its bounds; none if it is invalid."""
    address = parsed(written)
    if address is None:
        return {}
    prefixes = {HOUSEHOLD: 1} | (WIDER_FACTORS if isinstance(address, ipaddress.IPv6Address) else {})
    return {network(address, prefix): factor for prefix, factor in prefixes.items()}
