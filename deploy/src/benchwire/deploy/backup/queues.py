"""How far the queues of the log are: the durable consumers that hand requests to runners and flash agents.

Their places are read before the log is: what was acknowledged by then has its end in the log that follows. So a request is never lost, and
one that had come to its end since is delivered once more to a worker, who finds that end in the log and lets go of it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from benchwire.deploy.backup.protocol import asked
from benchwire.events.bus import STREAM, Bus


class Queue(msgspec.Struct, frozen=True):
    """A durable consumer: how it is configured, and the sequence up to which all of its requests were acknowledged."""

    config: dict[str, Any]
    acknowledged: int

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.config["durable_name"])


class _Floor(msgspec.Struct, frozen=True):
    stream_seq: int


class _Consumer(msgspec.Struct, frozen=True):
    config: dict[str, Any]
    ack_floor: _Floor


class _Page(msgspec.Struct, frozen=True):
    consumers: list[_Consumer] = []
    total: int = 0


async def read(bus: Bus) -> list[Queue]:
    """All queues of the log, as they are now. Raises ``NotDone``."""
    seen, found = 0, []
    while True:
        page = msgspec.json.decode(await asked(bus, f"CONSUMER.LIST.{STREAM}", {"offset": seen}), type=_Page)
        seen += len(page.consumers)
        found += [
            Queue(_own(one.config), one.ack_floor.stream_seq)
            for one in page.consumers
            if one.config.get("durable_name")
        ]
        if not page.consumers or seen >= page.total:
            return found


async def put_back(bus: Bus, queues: Sequence[Queue]) -> None:
    """Makes the queues, each at its place. Raises ``NotDone``."""
    for queue in queues:
        request = {"stream_name": STREAM, "config": queue.config}
        await asked(bus, f"CONSUMER.DURABLE.CREATE.{STREAM}.{queue.name}", request)
        if queue.acknowledged:
            await asked(bus, f"CONSUMER.RESET.{STREAM}.{queue.name}", {"seq": queue.acknowledged + 1})


def _own(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration as it was asked for; the server adds metadata of its own."""
    metadata = {key: value for key, value in (config.get("metadata") or {}).items() if not key.startswith("_nats.")}
    return {**config, "metadata": metadata}
