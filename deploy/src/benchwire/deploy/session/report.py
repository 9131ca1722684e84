"""Telling the lab what a command does, in order; while the lab is away it is told later."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import stamina

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy.client import Client
from benchwire.deploy.session.spool import Said, Spool

_LONGEST_WAIT_S = 5.0
_REFUSED_FOR_GOOD = (400, 404, 409, 413, 422)

Event = dict[str, Any]


class Reporter:
    """One session's reports. ``complain`` tells a person what does not work."""

    def __init__(self, client: Client, session_id: str, complain: Callable[[str], None]) -> None:
        self._client = client
        self._session_id = session_id
        self._complain = complain
        self._is_away = False

    async def start(self, **fields: Any) -> None:
        """The session begins, or goes on. Raises ``NoLab`` and ``Refused``."""
        await self._client.say(self._event("session_start", datetime.now(UTC), **fields), _key())

    async def say_all(self, spool: Spool) -> None:
        """Says what is put into ``spool`` until it is closed and empty."""
        while (said := await spool.take()) is not None:
            await self._tell(self._message(said))

    async def end(self, exit_code: int, reason: str | None) -> None:
        """The session has ended."""
        await self._tell(self._event("session_stop", datetime.now(UTC), exit_code=exit_code, reason=reason))

    def _message(self, said: Said) -> Event:
        return self._event("message", said.at, role="assistant", content=[{"type": "text", "text": said.text}])

    def _event(self, kind: str, at: datetime, **fields: Any) -> Event:
        given = {name: value for name, value in fields.items() if value is not None}
        return {"event_type": kind, "session_id": self._session_id, "timestamp": at.isoformat(), **given}

    async def _tell(self, event: Event) -> None:
        """Until the lab has it: with the same key each time, so that it lands once."""
        key = _key()
        try:
            async for attempt in stamina.retry_context(
                on=_may_pass, attempts=None, timeout=None, wait_initial=0.2, wait_max=_LONGEST_WAIT_S
            ):
                with attempt:
                    try:
                        await self._client.say(event, key)
                    except (NoLab, Refused) as error:
                        self._note_away(error)
                        raise
        except Refused as error:
            self._complain(f"the lab refused a {event['event_type']}, and does not have it: {error}")
        if self._is_away:
            self._is_away = False
            self._complain("the lab is back; what happened meanwhile is told now")

    def _note_away(self, error: Exception) -> None:
        if _may_pass(error) and not self._is_away:
            self._is_away = True
            self._complain(f"the lab is away, the command runs on, and what it does is told later: {error}")


def _may_pass(error: Exception) -> bool:
    return isinstance(error, NoLab) or (isinstance(error, Refused) and error.status_code not in _REFUSED_FOR_GOOD)


def _key() -> str:
    return uuid.uuid4().hex
