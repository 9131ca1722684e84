"""Records of the artifact store that moved while its snapshot was on its way.

Whoever puts bytes that are there already writes their record anew, and the old one goes: a snapshot that had begun has neither. These are
kept beside it. A record of bytes that had been freed meanwhile would mean that the snapshot lacks what its log needs.
"""

import json
from contextlib import aclosing

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import ObjectInfo

from benchwire.deploy.backup.errors import NotDone
from benchwire.events.bus import ARTIFACTS, Bus
from benchwire.events.follow import held
from benchwire.events.objects import ALL_RECORDS, Brief, Objects

STREAM = f"OBJ_{ARTIFACTS}"
_MOVED = (NatsError, OSError, TimeoutError)


class Record(msgspec.Struct, frozen=True):
    """A record: the subject that it stands on, and its body."""

    subject: str
    body: str


_kept = msgspec.json.Decoder(list[Record])


async def written_after(bus: Bus, begun: int, snapshot: int) -> bytes:
    """The records that are younger than sequence ``snapshot``, for ``put_back``.

    Raises ``NotDone`` when the store does not answer, or has freed something after sequence ``begun``.
    """
    found = []
    try:
        async with aclosing(held(bus, [ALL_RECORDS], after=begun, stream=STREAM)) as batches:
            async for batch in batches:
                for one in batch.messages:
                    if msgspec.json.decode(one.body, type=Brief).deleted:
                        raise NotDone("bytes were freed in the artifact store while it was backed up; try again")
                    if one.sequence > snapshot:
                        found.append(Record(one.subject, one.body.decode()))
    except _MOVED as error:
        raise NotDone(f"the artifact store does not answer: {error}") from error
    return msgspec.json.encode(found)


async def put_back(bus: Bus, kept: bytes) -> None:
    """Writes those of the records whose bytes came with the snapshot. Raises ``NotDone``."""
    objects = Objects(bus)
    try:
        for record in _kept.decode(kept):
            info = ObjectInfo.from_response(json.loads(record.body))
            if await objects.is_whole(info):
                await bus.js.publish(record.subject, record.body.encode(), headers={"Nats-Rollup": "sub"})
    except _MOVED as error:
        raise NotDone(f"the artifact store does not answer: {error}") from error


async def incomplete(bus: Bus) -> int:
    """How many objects of the store have not all of their bytes. Raises ``NotDone``."""
    objects, count = Objects(bus), 0
    try:
        async with aclosing(held(bus, [ALL_RECORDS], stream=STREAM)) as batches:
            async for batch in batches:
                for one in batch.messages:
                    info = ObjectInfo.from_response(json.loads(one.body))
                    count += not info.deleted and not await objects.is_whole(info)
    except _MOVED as error:
        raise NotDone(f"the artifact store does not answer: {error}") from error
    return count
