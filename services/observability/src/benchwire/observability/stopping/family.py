"""Stopping a session together with what works for it: its children, theirs, and so on."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from benchwire.events.log import Contended, LogUnavailable
from benchwire.events.projection import ProjectionBehind
from benchwire.observability import commands, errors, queries
from benchwire.observability.lab import Lab
from benchwire.observability.session import Session, Status
from benchwire.observability.stopping import ending

_AT_ONCE = 16
_MOST_ROUNDS = 16

_TROUBLE = (Contended, LogUnavailable, ProjectionBehind)


class Left(msgspec.Struct, frozen=True):
    """A child that was not seen to end, and why."""

    session_id: str
    detail: str


class Ended(msgspec.Struct, frozen=True):
    """What came of a stop: the session itself, the children that ended with it, and those that were left."""

    session: Session
    children_stopped: list[str]
    children_not_stopped: list[Left]


async def stop_family(lab: Lab, session_id: str) -> Ended:
    """Stops a session and all that runs below it; those below that have ended are left alone.

    The children are asked first: when that fails the session still runs, and the call can be repeated. What it began in its last moments is
    found when it has ended. Raises ``SessionUnknown``, ``SessionNotRunning``, and what ``Lab.write`` raises.
    """
    known = await ending.stoppable(lab, session_id)
    until = ending.answer_until()
    asked: dict[str, Session | Left] = {}
    trouble = await _ask_those_below(lab, session_id, asked)
    if trouble is not None:
        raise trouble
    await ending.ask_to_stop(lab, known, commands.ASKED)
    session = await _see_all_end(lab, known, asked, until)
    for _ in range(_MOST_ROUNDS):
        before = set(asked)
        await _ask_those_below(lab, session_id, asked)
        if before == set(asked):
            break
        await _see_all_end(lab, known, asked, until)
    found = await lab.read(lambda db: queries.family(db, session_id))
    return _told(session, asked, found.unclear)


async def _ask_those_below(lab: Lab, session_id: str, asked: dict[str, Session | Left]) -> Exception | None:
    """Asks each that runs below and was not asked yet to stop. The first trouble with the log is returned; it stands in ``asked``, too."""
    found = await lab.read(lambda db: queries.family(db, session_id))
    room = asyncio.Semaphore(_AT_ONCE)

    async def ask(child_id: str) -> Exception | None:
        async with room:
            try:
                child = await ending.stoppable(lab, child_id)
                asked[child_id] = child
                await ending.ask_to_stop(lab, child, f"its parent {session_id} was stopped")
            except (errors.SessionUnknown, errors.SessionNotRunning):  # it came to its own end in this moment
                pass
            except _TROUBLE as error:
                asked[child_id] = Left(child_id, str(error))
                return error
        return None

    results = await asyncio.gather(*(ask(one) for one in found.running if one not in asked))
    return next((error for error in results if error is not None), None)


async def _see_all_end(lab: Lab, known: Session, asked: dict[str, Session | Left], until: float) -> Session:
    """Waits for ``known`` and for those that were asked, until ``until``; ``asked`` then says how they are."""
    waited = [one for one in asked.values() if isinstance(one, Session) and one.is_running]
    results = await asyncio.gather(
        *(ending.stopped(lab, one, until) for one in [known, *waited]), return_exceptions=True
    )
    for one, result in zip(waited, results[1:], strict=True):
        if isinstance(result, _TROUBLE):
            asked[one.session_id] = Left(one.session_id, str(result))
        elif isinstance(result, Session):
            asked[one.session_id] = result
        else:
            raise result
    if isinstance(results[0], Session):
        return results[0]
    raise results[0]


def _told(session: Session, asked: dict[str, Session | Left], unclear: Sequence[queries.Unclear]) -> Ended:
    """A child that came to its own end just before was not stopped, and there is nothing to do about it."""
    ended = [one for one in asked.values() if isinstance(one, Session) and not one.is_running]
    return Ended(
        session,
        [one.session_id for one in ended if one.status is not Status.FINISHED],
        [*_left(asked.values()), *(Left(one.session_id, _why(one)) for one in unclear)],
    )


def _left(asked: Iterable[Session | Left]) -> list[Left]:
    late = "it is asked to stop; its runner has not answered yet"
    return [
        one if isinstance(one, Left) else Left(one.session_id, late)
        for one in asked
        if isinstance(one, Left) or one.is_running
    ]


def _why(one: queries.Unclear) -> str:
    return (
        f"several sessions are called {one.parent_session_name!r}, which it names as its parent; stop it by its own id"
    )
