"""Who is there: a key with a time to live in the bucket ``presence``, put again and again while its owner lives."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from benchwire.events.bus import PRESENCE, Bus
from benchwire.events.event import token
from benchwire.events.streams import PRESENCE_BEAT_S

log = logging.getLogger(__name__)

# Service and name of a backup under way: while it is there, nothing leaves the artifact store.
BACKUP = ("backup", "lab")
_LEAVE_AFTER_S = 10.0  # longer than a cluster takes to elect: a server that is cut off from the others takes connections all the same
_KEYS = f"$KV.{PRESENCE}."


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """What one instance says of itself; ``state`` is ``healthy`` or the sentence that says what is wrong.

    ``lacking`` is what its rows lack because the log had lost it; ``denied`` is how often NATS refused its user something,
    ``redacted`` how many secrets were taken out of what it published, by their kind. ``run`` tells two instances of one name apart, and
    ``since`` which of them was first (see ``sole``).
    """

    service: str
    name: str
    version: str
    pid: int
    state: str = "healthy"
    lacking: str = ""
    denied: int = 0
    redacted: dict[str, int] = {}
    run: str = ""
    since: int = 0


class Key:
    """How an instance is written down: whoever writes last is there."""

    async def put(self, bucket: KeyValue, key: str, present: Present) -> None:
        """Writes it. Raises what NATS raises."""
        await bucket.put(key, msgspec.json.encode(present))

    async def remove(self, bucket: KeyValue, key: str) -> None:
        """Takes it back. Raises what NATS raises."""
        await bucket.delete(key)


class CannotTell(TimeoutError):
    """Nobody could announce himself for a while, so that who is not heard of may be there all the same."""


class Presence:
    """Announces this instance, and tells who else is there."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: KeyValue | None = None

    async def _bucket(self) -> KeyValue:
        if self._known is None:  # looking it up asks the server
            self._known = await self._bus.js.key_value(PRESENCE)
        return self._known

    @contextlib.asynccontextmanager
    async def announced(
        self, present: Present, *, denied: Callable[[], int] | None = None, by: Key | None = None
    ) -> AsyncGenerator[None, None]:
        """Keeps ``present`` announced for the time of the context; leaving it takes it back at once.

        It says each time what was ``denied`` so far: to this connection, unless somebody else counts. It is written ``by`` whoever is
        given, if not in the usual way.
        """
        denied, by = denied or (lambda: self._bus.denied), by or Key()
        present = self._bus.door.redacted(present)
        bucket, key = await self.place(present)
        await by.put(bucket, key, self._now(present, denied()))
        self._bus.pulse.beat()
        beating = asyncio.create_task(self._beat(bucket, key, present, denied, by))
        try:
            yield
        finally:  # a cancel is the usual way to leave; it has to take the key back, too
            beating.cancel()
            await asyncio.wait([beating])
            self._bus.pulse.stop()
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                if self._bus.connected:
                    async with asyncio.timeout(1.0):
                        await by.remove(bucket, key)

    async def place(self, present: Present) -> tuple[KeyValue, str]:
        """The bucket, and the key in it, where that instance is announced."""
        return await self._bucket(), _key(present.service, present.name)

    async def _beat(self, bucket: KeyValue, key: str, present: Present, denied: Callable[[], int], by: Key) -> None:
        while True:
            await asyncio.sleep(PRESENCE_BEAT_S)
            try:
                async with asyncio.timeout(PRESENCE_BEAT_S):  # one that is lost must not keep the next one waiting
                    await by.put(bucket, key, self._now(present, denied()))
                self._bus.pulse.beat()
            except (NatsError, OSError, TimeoutError) as error:
                log.debug("%s was not announced this time: %r", key, error)
                if self._bus.pulse.silent_s > _LEAVE_AFTER_S:
                    log.warning("%s: this server takes nothing any more; trying another", key)
                    await self._bus.nc.leave()
                    self._bus.pulse.wait()

    def _now(self, present: Present, denied: int) -> Present:
        return msgspec.structs.replace(present, denied=denied, redacted=dict(self._bus.door.counts))

    async def is_there(self, service: str, name: str) -> bool:
        """Whether that instance was heard of within the last ``PRESENCE_TTL_S`` seconds. Raises ``CannotTell``, and what NATS raises."""
        try:
            await (await self._bucket()).get(_key(service, name))
        except KeyNotFoundError:
            self._check_pulse()
            return False
        return True

    def _check_pulse(self) -> None:
        if not self._bus.pulse.is_steady:
            raise CannotTell("a moment ago nobody could say that he is there")

    async def everyone(self) -> list[Present]:
        """All instances that are there now. Raises ``CannotTell``, and what NATS raises."""
        self._check_pulse()
        bucket = await self._bucket()
        # Not the bucket's keys(): each call leaves a consumer in the server for five minutes.
        info = await self._bus.js.stream_info(f"KV_{PRESENCE}", subjects_filter=f"{_KEYS}>")
        there = []
        for key in (subject.removeprefix(_KEYS) for subject in info.state.subjects or {}):
            # Gone by now, or of a writer we cannot read.
            with contextlib.suppress(KeyNotFoundError, msgspec.MsgspecError):
                entry = await bucket.get(key)
                present = msgspec.json.decode(entry.value or b"", type=Present)
                # Who may write is said by the key; another name in it is a lie.
                if f"{present.service}.{present.name}" == key:
                    there.append(present)
        return there


def _key(service: str, name: str) -> str:
    return f"{service}.{token(name, 'name')}"
