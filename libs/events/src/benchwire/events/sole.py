"""The only one of its name.

Two instances of one name, on different machines, would share a presence, a queue and claims, and each would take the work of the other for its
own. The name is whose who announced it first; the other one ends. What a killed predecessor left in the key looks like somebody who lives until it
expires: it is known by the file in which this instance's data directory says who ran on it last, and anybody else's by not being renewed.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple, NoReturn
from uuid import uuid4

import msgspec
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from benchwire.events.presence import Key, Presence, Present
from benchwire.events.streams import PRESENCE_BEAT_S

log = logging.getLogger(__name__)

_LISTEN_S = 2 * PRESENCE_BEAT_S
_LOOK_S = 0.2


class NameTaken(Exception):
    """Another instance of this name is in the lab; the sentence says which setting tells the two apart."""


class _Entry(NamedTuple):
    """What a key holds: its ``revision`` (0: none ever), and who is there."""

    revision: int
    present: Present | None


class Sole(Key):
    """One run of an instance whose name nobody else may have. ``is_lost`` when somebody who was there before has it."""

    def __init__(self, presence: Presence, present: Present, *, setting: str, file: Path) -> None:
        """``setting`` is the variable that gives the name; ``file`` remembers the last run. Its directory is locked by this process."""
        self._presence = presence
        self._present = msgspec.structs.replace(present, run=uuid4().hex)
        self._setting = setting
        self._file = file
        self._revision = 0
        self._since = 0
        self._lost = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        """Whether another instance has the name, so that nothing may be said in it any more."""
        return self._lost.is_set()

    async def check(self) -> None:
        """Returns when nobody else has the name now; at once, unless an entry has to be watched. Raises ``NameTaken``, and what NATS raises."""
        await self._free(*await self._presence.place(self._present))

    @contextlib.asynccontextmanager
    async def announced(self) -> AsyncGenerator[None, None]:
        """As ``Presence.announced``. Raises ``NameTaken`` instead of announcing a second one; of a first one that comes back, ``lost`` tells."""
        async with self._presence.announced(self._present, by=self):
            yield

    async def lost(self) -> NoReturn:
        """Waits until somebody who was there before has the name, and raises ``NameTaken``."""
        await self._lost.wait()
        raise self._taken()

    async def put(self, bucket: KeyValue, key: str, present: Present) -> None:
        """Announces it, if the name is its own."""
        if self.is_lost:
            return
        if not self._since:
            await self._first(bucket, key, present)
            return
        body = msgspec.json.encode(msgspec.structs.replace(present, since=self._since))
        try:
            self._revision = await bucket.update(key, body, self._revision)
        except KeyWrongLastSequenceError:  # it had expired, or an answer was lost, or somebody else wrote it
            there = await _entry(bucket, key, present)
            if there.present is not None and there.present.run != present.run:
                if 0 < there.present.since < self._since:
                    self._lost.set()
                    return
                log.warning(
                    "another %s called %s came, and has to end: %s", present.service, present.name, self._setting
                )
            self._revision = await bucket.update(key, body, there.revision)

    async def remove(self, bucket: KeyValue, key: str) -> None:
        """Takes it back, if it is its own."""
        if not self.is_lost:
            await bucket.delete(key, last=self._revision)

    async def _first(self, bucket: KeyValue, key: str, present: Present) -> None:
        while not self._since:
            revision = await self._free(bucket, key)
            await asyncio.to_thread(self._remember)
            with contextlib.suppress(KeyWrongLastSequenceError):  # somebody was quicker, or what was there expired
                self._since = self._revision = await bucket.update(key, msgspec.json.encode(present), revision)

    async def _free(self, bucket: KeyValue, key: str) -> int:
        """The revision that may be replaced, as soon as it is known to be nobody's who lives."""
        before, first = await asyncio.to_thread(self._last_run), await _entry(bucket, key, self._present)
        if first.present is None or first.present.run in (before, self._present.run):
            return first.revision
        until = asyncio.get_running_loop().time() + _LISTEN_S
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_LOOK_S)
            now = await _entry(bucket, key, self._present)
            if now.present is None:
                return now.revision
            if now.revision != first.revision:
                self._lost.set()
                raise self._taken()
        return first.revision

    def _last_run(self) -> str | None:
        try:
            return self._file.read_text()
        except (OSError, UnicodeDecodeError):
            return None

    def _remember(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(self._present.run)

    def _taken(self) -> NameTaken:
        service, name = self._present.service, self._present.name
        return NameTaken(
            f"there is another {service} called {name} in this lab; give one of the two a name of its own with {self._setting}"
        )


async def _entry(bucket: KeyValue, key: str, like: Present) -> _Entry:
    try:
        found = await bucket.get(key)
    except KeyNotFoundError as error:
        return _Entry(error.entry.revision if error.entry else 0, None)  # whoever takes a key back leaves a mark there
    try:
        present = msgspec.json.decode(found.value or b"", type=Present)
    except msgspec.MsgspecError:  # of a writer whom we cannot read, and who may live all the same
        present = msgspec.structs.replace(like, run="", since=0)
    return _Entry(found.revision or 0, present)
