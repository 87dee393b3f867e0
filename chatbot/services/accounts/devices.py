"""The devices of sessions, named by their `User-Agent`."""

import functools
from dataclasses import dataclass

import ua_parser

MAX_USER_AGENT_LENGTH = 256  # characters that are kept and read
UNKNOWN_NAME = "Unknown device"


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a login: its `User-Agent` and its network, None where it tells none."""

    user_agent: str | None = None
    network: str | None = None


UNKNOWN = Device()


@functools.lru_cache(maxsize=1024)
def name_device(user_agent: str | None) -> str:
    """Return a name by which people know their device: "Firefox on Ubuntu", or the first product that it names."""
    if not user_agent:
        return UNKNOWN_NAME
    found = ua_parser.parse(user_agent[:MAX_USER_AGENT_LENGTH])
    program = found.user_agent.family if found.user_agent else user_agent.partition("/")[0].strip()
    system = found.os.family if found.os else None
    return f"{program} on {system}" if system else program or UNKNOWN_NAME
