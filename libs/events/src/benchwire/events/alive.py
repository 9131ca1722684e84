"""``python -m benchwire.events.alive SERVICE NAME``: whether that instance is heard of, for the health check of a container.

It asks as the same user as the instance itself, by the same environment. Exits with 0 when it is, and with 1 and a sentence when not.
"""

import asyncio
import sys

import msgspec
from nats.errors import Error as NatsError

from benchwire.events.bus import NatsUnreachable, connected
from benchwire.events.presence import Presence
from benchwire.events.settings import InvalidSettings, NatsSettings, load

_CONNECT_TIMEOUT_S = 5.0


async def _asked(service: str, name: str) -> str | None:
    """What is wrong; None when that instance is there."""
    try:
        settings = msgspec.structs.replace(load(NatsSettings), nats_connect_timeout_s=_CONNECT_TIMEOUT_S)
        async with connected(settings, name=f"alive {service}", ensured=False) as bus:
            return None if await Presence(bus).is_there(service, name) else f"{service} {name} is not heard of"
    except (InvalidSettings, NatsUnreachable, NatsError, OSError, TimeoutError) as error:
        return str(error) or repr(error)


def main() -> None:
    """The command."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m benchwire.events.alive SERVICE NAME")
    sys.exit(asyncio.run(_asked(*sys.argv[1:])))


if __name__ == "__main__":
    main()
