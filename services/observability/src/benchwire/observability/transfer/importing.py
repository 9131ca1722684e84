"""Lines of JSON to events in the log, one after the other, so that they stand there in the order of the file.

What was imported before is passed over, by ids that follow from the file: an import that broke off is finished by repeating it.
"""

from collections.abc import AsyncIterable, Sequence
from datetime import datetime

import msgspec

from benchwire.events.catalog import filter_of
from benchwire.events.event import Event, token
from benchwire.events.log import EventTooLarge
from benchwire.events.session import SessionDeleted, SessionStarted, SessionStopped
from benchwire.observability import queries, session
from benchwire.observability.errors import Unusable
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.lines import MOST_ERRORS, OF_ONE, Line, Wrong
from benchwire.observability.session import Session
from benchwire.observability.transfer import copies
from benchwire.observability.wire import transfer as wire

MAX_LINE_BYTES = 4 << 20
_MOST_LINES = 256  # that are looked up together
_MOST_BYTES = 4 << 20
_CLOSED = "imported while it was running"


class Imported(msgspec.Struct, frozen=True):
    """A session that came in: ``events`` is how many of its events landed this time."""

    session_id: str
    imported_from: str
    events: int


class Tally(msgspec.Struct):
    """How an import went. ``repeated`` were there from an earlier one, ``left_out`` mean nothing in another lab; of ``wrong`` only the first.

    ``is_taken`` says that a session was named, ``is_conflict`` that one of them is here already; ``sequence`` is where the last event landed.
    """

    accepted: int = 0
    repeated: int = 0
    left_out: int = 0
    rejected: int = 0
    wrong: list[Wrong] = []
    sessions: list[Imported] = []
    is_taken: bool = False
    is_conflict: bool = False
    sequence: int = 0

    def refuse(self, line: int, detail: str) -> None:
        """Counts a line that cannot land; the first hundred are told."""
        self.rejected += 1
        if len(self.wrong) < MOST_ERRORS:
            self.wrong.append(Wrong(line, detail))


class _Copy(msgspec.Struct, frozen=True):
    line: int
    id: str
    event: Event


class _Section(msgspec.Struct):
    """The session that the lines at hand belong to. ``life`` is what it comes to; ``last_id`` names the file's last event of it."""

    origin: str
    session_id: str
    tombstone: int
    is_there: bool
    was_closed: bool
    line: int
    promised: int | None
    came: int = 0
    landed: int = 0
    refused: bool = False
    is_known: bool = False
    life: Session | None = None
    last_id: str = ""
    waiting: list[_Copy] = []
    waiting_bytes: int = 0


class Import:
    """One import. ``session_id`` is for the only session of a file, ``prefix`` goes before the ids of all."""

    def __init__(self, lab: Lab, *, session_id: str | None = None, prefix: str = "") -> None:
        self._lab = lab
        self._as = session_id
        self._prefix = prefix
        self._section: _Section | None = None
        self.tally = Tally()

    async def take(self, pieces: AsyncIterable[Sequence[Line]]) -> Tally:
        """Takes all lines in. Raises ``LogUnavailable``; what landed until then stays."""
        async for piece in pieces:
            for number, body in piece:
                try:
                    await self._line(number, body)
                except OF_ONE as error:
                    self.tally.refuse(number, str(error))
        await self._end()
        return self.tally

    async def _line(self, number: int, line: bytes | None) -> None:
        if line is None:
            raise Unusable(f"the line is longer than {MAX_LINE_BYTES >> 20} MiB")
        if wire.is_head(line):
            await self._end()
            self._section = await self._begun(number, wire.head_of(line))
        else:
            await self._event(number, line)

    async def _event(self, number: int, line: bytes) -> None:
        section = self._section
        if section is None:
            raise Unusable("a line that says which session it is has to come first, and be right")
        section.came += 1
        if section.refused:
            self.tally.rejected += 1
            return
        told = wire.record_of(line)
        event = self._copied(section, wire.event_of(told))
        section.last_id = told.id
        if event is None:
            self.tally.left_out += 1
            return
        section.life = session.evolve(section.life, event)
        section.waiting.append(_Copy(number, copies.copy_id(section.session_id, section.tombstone, told.id), event))
        section.waiting_bytes += len(line)
        if len(section.waiting) >= _MOST_LINES or section.waiting_bytes > _MOST_BYTES:
            await self._write(section)

    def _copied(self, section: _Section, event: Event) -> Event | None:
        if getattr(event, "session_id", section.origin) != section.origin:
            raise Unusable(f"session_id: it is not an event of {section.origin!r}")
        return copies.imported(event, section.session_id, self._prefix)

    async def _begun(self, number: int, told: wire.Head) -> _Section:
        if self._as is not None and self.tally.is_taken:
            raise Unusable("session_id: it is for a file of one session; give a prefix for several")
        session_id = token(self._as or f"{self._prefix}{told.session.session_id}", "session_id")
        self.tally.is_taken = True
        there = await self._lab.read(lambda db: queries.session(db, session_id))
        return _Section(
            origin=told.session.session_id,
            session_id=session_id,
            tombstone=await self._lab.log.last_sequence(filter_of(SessionDeleted, session_id=session_id)),
            is_there=there is not None,
            was_closed=there is not None and there.reason == _CLOSED,
            line=number,
            promised=told.events,
        )

    async def _write(self, section: _Section) -> None:
        waiting, section.waiting, section.waiting_bytes = section.waiting, [], 0
        if section.refused or not waiting:
            self.tally.rejected += len(waiting)
            return
        there = await self._lab.read(lambda db: queries.applied_ids(db, [(one.id, one.event) for one in waiting]))
        if section.is_there and not section.is_known and waiting[0].id not in there:
            section.refused = self.tally.is_conflict = True
            self.tally.rejected += len(waiting) - 1
            raise Unusable(
                f"a session {section.session_id!r} is here already, and was not made from this file; "
                "import it under another id, with session_id or prefix"
            )
        section.is_known = True
        for one in waiting:
            if one.id in there:
                self.tally.repeated += 1
            else:
                await self._append(section, one)

    async def _append(self, section: _Section, one: _Copy) -> None:
        if section.was_closed:
            await self._reopen(section, one)
        try:
            self.tally.sequence = await self._lab.log.append(one.event, event_id=one.id, deadline_s=WRITE_DEADLINE_S)
        except EventTooLarge as error:
            self.tally.refuse(one.line, str(error))
            return
        section.landed += 1
        self.tally.accepted += 1

    async def _reopen(self, section: _Section, one: _Copy) -> None:
        """It ran on where it comes from: what came of it there counts, and not that an earlier import closed it."""
        section.was_closed = False
        event_id = copies.copy_id(section.session_id, section.tombstone, "reopened", one.id)
        again = SessionStarted(timestamp=one.event.timestamp, session_id=section.session_id, registered=True)
        self.tally.sequence = await self._lab.log.append(again, event_id=event_id, deadline_s=WRITE_DEADLINE_S)

    async def _end(self) -> None:
        """Writes what waits, and closes the session if it was running where it comes from: nobody runs it here."""
        section, self._section = self._section, None
        if section is None:
            return
        try:
            await self._write(section)
        except Unusable as error:
            self.tally.refuse(section.line, str(error))
        if section.refused:
            return
        if section.promised is not None and section.came < section.promised:
            self.tally.refuse(
                section.line,
                f"the file was cut off: {section.came} of the {section.promised} events of {section.origin!r} came; "
                "import the whole one, or stop the session",
            )
        elif section.life is not None and section.life.is_running:
            await self._close(section, section.life)
        self.tally.sessions.append(Imported(section.session_id, section.origin, section.landed))

    async def _close(self, section: _Section, life: Session) -> None:
        event_id = copies.copy_id(section.session_id, section.tombstone, "closed", section.last_id)
        at = datetime.fromisoformat(life.modified_at)
        stopped = SessionStopped(timestamp=at, session_id=section.session_id, reason=_CLOSED)
        if await self._lab.read(lambda db: queries.applied_ids(db, [(event_id, stopped)])):
            return
        self.tally.sequence = await self._lab.log.append(stopped, event_id=event_id, deadline_s=WRITE_DEADLINE_S)
