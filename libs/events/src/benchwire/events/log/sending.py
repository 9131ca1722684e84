"""From events to acknowledged messages: any number at once, each of which succeeds or fails for itself.

What may succeed a moment later is sent again with the same id, so that it lands once.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import stamina
from nats.errors import ConnectionReconnectingError
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from benchwire.events import catalog, codec
from benchwire.events.acks import Ack
from benchwire.events.bus import STREAM, Bus
from benchwire.events.event import Event
from benchwire.events.log.errors import SILENT, Contended, EventTooLarge, IdTaken, LogUnavailable, NotAllowed
from benchwire.events.outgoing import Outgoing

_WRONG_LAST_SEQUENCE = (10071, 10164)  # nats-server's JSStreamWrongLastSequence…ErrF
_MOST_WAIT_S = 2.0  # for one acknowledgement; then it is asked for again
_OF_NATS = (NatsError, OSError, TimeoutError)


def draft(bus: Bus, event: Event, headers: dict[str, str]) -> Outgoing:
    """The message for ``event``, without the secrets in it. Raises ``EventTooLarge`` and ``IllegalToken``."""
    subject, body = catalog.subject_of(event), bus.door.body(event)
    # Counted here: nats-py leaves the headers out, and the server closes the connection of whoever sends too much.
    if len(body) + _bytes_of(headers) > bus.nc.max_payload:
        raise EventTooLarge(f"an event of {len(body)} bytes is more than the log takes in one piece")
    return Outgoing(subject, body, headers)


async def sent(bus: Bus, drafts: Sequence[Outgoing], deadline_s: float) -> list[int | Exception]:
    """Sends ``drafts`` in their order, and returns for each the sequence at which it stands, or why it does not.

    That is ``Contended``, ``IdTaken``, ``NotAllowed``, or ``LogUnavailable`` when it was tried until ``deadline_s`` had passed.
    """
    began = time.monotonic()
    # What goes well the first time pays for no retry.
    outcomes = await _tried(bus, drafts, min(_MOST_WAIT_S, deadline_s))
    if _passing(outcomes):
        await _tried_again(bus, drafts, outcomes, max(0.01, deadline_s - (time.monotonic() - began)))
    return [
        one if isinstance(one, int) else _told(one, draft.subject) for one, draft in zip(outcomes, drafts, strict=True)
    ]


async def _tried_again(bus: Bus, drafts: Sequence[Outgoing], outcomes: list[int | Exception], left_s: float) -> None:
    """Those that failed for the moment, in their order, until none is left that did, or the time is up."""
    with contextlib.suppress(_NotYet):
        async for attempt in stamina.retry_context(
            on=_NotYet, attempts=None, timeout=left_s, wait_initial=0.05, wait_max=0.5
        ):
            with attempt:
                places = _passing(outcomes)
                again = await _tried(bus, [drafts[place] for place in places], min(_MOST_WAIT_S, left_s))
                for place, outcome in zip(places, again, strict=True):
                    outcomes[place] = outcome
                if _passing(outcomes):
                    raise _NotYet


class _NotYet(Exception):
    """Some still failed for the moment."""


async def _tried(bus: Bus, drafts: Sequence[Outgoing], timeout_s: float) -> list[int | Exception]:
    """Sends them once."""
    if not bus.connected:
        # nats-py would keep them and send them once the server is back, long after the caller was told that it failed.
        return [ConnectionReconnectingError()] * len(drafts)
    try:
        answers = await bus.acks.publish_all(drafts, timeout_s=timeout_s)
    except _OF_NATS as error:
        return [error] * len(drafts)
    outcomes: list[int | Exception] = [one.seq if isinstance(one, Ack) else one for one in answers]
    wanting = [place for place, one in enumerate(answers) if not isinstance(one, Ack) or one.duplicate]
    if not wanting:
        return outcomes
    looked_at = await asyncio.gather(*(_looked_at(bus, drafts[place], answers[place]) for place in wanting))
    for place, outcome in zip(wanting, looked_at, strict=True):
        outcomes[place] = outcome
    return outcomes


async def _looked_at(bus: Bus, draft: Outgoing, answer: Ack | Exception) -> int | Exception:
    """What has come of a message that was not simply taken."""
    if isinstance(answer, TimeoutError) and bus.was_denied(draft.subject):  # what is refused is not answered
        return NotAllowed(f"NATS does not let this service write to {draft.subject}")
    if isinstance(answer, Exception):
        return answer
    try:
        is_there = await _is_on(bus, draft.subject, answer.seq)
    except _OF_NATS as error:
        return error
    if is_there:
        return answer.seq
    return IdTaken(f"another event has the id {(draft.headers or {})[codec.MSG_ID]}; this one is not in the log")


async def _is_on(bus: Bus, subject: str, sequence: int) -> bool:
    """Whether the message at ``sequence`` is on ``subject``: ids are the server's alone to compare, and whoever may publish may use any."""
    try:
        there = await bus.js.get_msg(STREAM, sequence)
    except NotFoundError:  # it was deleted since, as the events of a session are
        return True
    return there.subject == subject


def _passing(outcomes: Sequence[int | Exception]) -> list[int]:
    """The places of those that may succeed a moment later."""
    return [place for place, one in enumerate(outcomes) if isinstance(one, Exception) and _is_passing(one)]


def _is_passing(error: Exception) -> bool:
    """Whether the same publish may succeed a moment later."""
    if isinstance(error, APIError):
        return (error.code or 500) >= 500 and error.err_code not in _WRONG_LAST_SEQUENCE
    return isinstance(error, _OF_NATS)


def _told(error: Exception, subject: str) -> Exception:
    """``error`` as those who append know it."""
    told: Exception
    if isinstance(error, APIError) and error.err_code in _WRONG_LAST_SEQUENCE:
        told = Contended(f"somebody else wrote to {subject.rsplit('.', 1)[0]} first")
    elif isinstance(error, APIError):
        told = LogUnavailable(f"the log refused: {error.description}")
    elif isinstance(error, _OF_NATS):
        told = LogUnavailable(SILENT)
    else:
        return error
    told.__cause__ = error
    return told


def _bytes_of(headers: dict[str, str]) -> int:
    """What headers take on the wire: a line each, between ``NATS/1.0`` and an empty one."""
    return 12 + sum(len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items())
