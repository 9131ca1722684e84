"""What model calls cost."""

from datetime import date, datetime
from typing import Any

from litestar import get
from sqlite_utils import Database

from benchwire.observability import errors, queries
from benchwire.observability.routes.params import Id, Text, TheLab
from benchwire.observability.routes.sessions import known
from benchwire.observability.session import iso
from benchwire.observability.wire import answers
from benchwire.observability.wire import usage as wire
from benchwire.web.described import described

_BY = ("session", "task", "model", "day")


@get("/usage", opt=described(answers=answers.Usage))
async def get_usage(
    lab: TheLab,
    *,
    by: Text = None,
    session_id: Text = None,
    task_id: Text = None,
    model: Text = None,
    since: Text = None,
    until: Text = None,
) -> dict[str, Any]:
    """Calls, tokens and cost of models, ``by`` session, task, model or day, or several of them (``model,day``).

    Days are in UTC; ``since`` and ``until`` are days, or times of which the day counts, and both belong to the range. What deleted sessions
    had cost is counted, under no session; a session's calls are under no task, and a task's under no session.
    """
    keys = _keys(by)
    first, last = _day("since", since, queries.FIRST_DAY), _day("until", until, queries.LAST_DAY)

    def counted(db: Database) -> tuple[list[queries.Counted], dict[str, str]]:
        found = queries.usage(db, keys, session_id=session_id, task_id=task_id, model=model, since=first, until=last)
        return found, queries.names_of(db, wire.sessions_among(found, keys))

    found, names = await lab.read(counted)
    return wire.usage(found, keys, lab.prices, names)


@get("/sessions/{session_id:str}/usage", opt=described(answers=answers.SessionUsage))
async def get_session_usage(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """Calls, tokens and cost of one session, by model."""
    await known(lab, session_id)
    found = await lab.read(lambda db: queries.usage(db, ["model"], session_id=session_id))
    return {"session_id": session_id, **wire.usage(found, ["model"], lab.prices, {})}


def _keys(by: str | None) -> list[str]:
    keys = list(dict.fromkeys((by or "model").split(",")))
    if not set(keys) <= set(_BY):
        raise errors.Unusable(f"by: it must be {', '.join(_BY)}, or several of them with commas between")
    return keys


def _day(name: str, text: str | None, otherwise: str) -> str:
    if not text:
        return otherwise
    try:
        return date.fromisoformat(text).isoformat() if len(text) == len("2026-01-17") else _day_of_time(text)
    except (ValueError, OverflowError):
        raise errors.Unusable(f"{name}: it must be a day like 2026-01-17, or a time in ISO 8601") from None


def _day_of_time(text: str) -> str:
    moment = datetime.fromisoformat(text)
    return iso(moment)[:10] if moment.tzinfo is not None else moment.date().isoformat()


ROUTES = [get_usage, get_session_usage]
