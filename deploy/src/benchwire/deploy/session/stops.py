"""Hearing from the lab that a session has to end: on its WebSocket, and by asking while there is none."""

import asyncio
import contextlib
from enum import StrEnum
from typing import Any

import msgspec
from websockets.exceptions import WebSocketException

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy.client import Client

AGAIN_S = 2.0


class Verdict(StrEnum):
    """Why a session has to end."""

    STOPPED = "stopped"
    DELETED = "deleted"


async def told_to_stop(client: Client, session_id: str) -> Verdict:
    """Returns when the lab says that the session was stopped or deleted; a lab that is away is waited for."""
    while True:
        with contextlib.suppress(WebSocketException, OSError, TimeoutError, msgspec.MsgspecError):
            async with contextlib.aclosing(client.session_frames(session_id)) as frames:
                async for frame in frames:
                    if (verdict := verdict_of(frame, session_id)) is not None:
                        return verdict
        with contextlib.suppress(NoLab, Refused):
            if await client.session_status(session_id) == Verdict.STOPPED:
                return Verdict.STOPPED
        await asyncio.sleep(AGAIN_S)


def verdict_of(frame: dict[str, Any], session_id: str) -> Verdict | None:
    """What a frame of ``/ws`` says about the life of that session; None when it may go on."""
    match frame:
        case {"type": "session_deleted", "session_id": name} if name == session_id:
            return Verdict.DELETED
        case {"type": "init", "sessions": list(sessions)}:
            known = [one for one in sessions if one.get("session_id") == session_id]
        case {"type": "session_updated", "session": dict(session)}:
            known = [session] if session.get("session_id") == session_id else []
        case _:
            return None
    return Verdict.STOPPED if any(one.get("status") == Verdict.STOPPED for one in known) else None
