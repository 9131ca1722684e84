"""A session as lines of JSON, straight from the log: however long it is, a few hundred events are in memory."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from benchwire.events.catalog import aggregate_of
from benchwire.events.follow import Message, Silent, held
from benchwire.events.log import SILENT, LogUnavailable
from benchwire.events.session import SessionStarted
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Changed
from benchwire.observability.wire import sessions as session_wire
from benchwire.observability.wire import transfer as wire

_BATCH = 200


async def exported(lab: Lab, known: Changed) -> AsyncGenerator[bytes, None]:
    """The session as it is at this moment: its first line, then its events in the order of the log, some lines at a time.

    Raises ``HistoryGone`` when the log is younger than the session, and ``LogUnavailable`` when it falls silent, or no longer has what the
    first line promised.
    """
    session_id = known.session.session_id
    await lab.log.check_whole(known.created_sequence, f"session {session_id!r}")
    left = -1
    async with aclosing(_messages(lab, session_id, known.created_sequence - 1)) as batches:
        async for messages, pending in batches:
            if left < 0:
                left = len(messages) + pending
                yield wire.head(session_wire.view(known.session), left)
            part = messages[:left]
            left -= len(part)
            if part:
                yield b"".join(map(wire.record, part))
            if left == 0:
                return
    raise LogUnavailable(f"session {session_id!r} was deleted while it was exported")


async def _messages(lab: Lab, session_id: str, after: int) -> AsyncGenerator[tuple[list[Message], int], None]:
    everything = [aggregate_of(SessionStarted, session_id=session_id)]
    try:
        async with aclosing(held(lab.bus, everything, after=after, batch=_BATCH)) as batches:
            async for batch in batches:
                yield batch.messages, batch.pending
    except Silent as error:
        raise LogUnavailable(SILENT) from error
