"""Sessions: agents of the lab that are started, spoken to, asked about and stopped."""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from benchwire.client.http import Http
from benchwire.client.records import Approval, Ending, Said, Session


class Sessions:
    """The sessions of the lab behind ``http``. Every method raises ``NoLab`` and ``Refused``."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def start(self, prompt: str, asked: Mapping[str, Any] | None = None) -> Session:
        """Has an agent work on ``prompt``; ``asked`` are further fields of ``POST /sessions``. Without an id it gets one, which is its name, too."""
        body = {key: value for key, value in (asked or {}).items() if value is not None}
        session_id = body.setdefault("session_id", f"session-{uuid.uuid4().hex[:16]}")
        made = self._http.post("/sessions", {"session_name": session_id, **body, "prompt": prompt})
        return msgspec.convert(made["session"], Session)

    def newest(self, **query: Any) -> list[Session]:
        """Sessions, newest first; ``query`` as in ``GET /sessions``."""
        return msgspec.convert(self._http.get("/sessions", **query)["sessions"], list[Session])

    def one(self, session_id: str) -> Session:
        """One session."""
        return msgspec.convert(self._http.get(_of(session_id))["session"], Session)

    def say(self, session_id: str, text: str, asked: Mapping[str, Any] | None = None) -> Said:
        """Says something: one that runs hears it at its next turn, one that has ended goes on with it.

        ``asked`` are further fields of ``POST /sessions/{id}/messages``.
        """
        body = {"message_id": f"msg-{uuid.uuid4().hex[:16]}", **(asked or {}), "text": text}
        return msgspec.convert(self._http.post(f"{_of(session_id)}/messages", body), Said)

    def stop(self, session_id: str) -> Ending:
        """Stops a session and what runs below it; what came of that within a few seconds."""
        return msgspec.convert(self._http.post(f"{_of(session_id)}/stop"), Ending)

    def result(self, session_id: str) -> str:
        """What the agent of a session that has ended said last."""
        return str(self._http.get(f"{_of(session_id)}/result")["result"])

    def approvals(
        self, session_id: str | None = None, *, state: str | None = None, limit: int | None = None
    ) -> list[Approval]:
        """Calls of tools that wait, or waited, for a person, oldest first; of one session or of all."""
        place = "" if session_id is None else _of(session_id)
        told = self._http.get(f"{place}/approvals", state=state, limit=limit)
        return msgspec.convert(told["approvals"], list[Approval])

    def decide(
        self, session_id: str, tool_use_id: str, *, approve: bool, reason: str | None = None, by: str | None = None
    ) -> Approval:
        """Says whether a call that waits may run."""
        path = f"{_of(session_id)}/approvals/{quote(tool_use_id, safe='')}"
        told = self._http.post(path, {"approve": approve, "reason": reason, "by": by})
        return msgspec.convert(told["approval"], Approval)


def _of(session_id: str) -> str:
    return f"/sessions/{quote(session_id, safe='')}"
