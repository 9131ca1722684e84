"""Clients that report tool calls, one by one, as an array, or a line each."""

import json
from typing import Any

import httpx

from .ledger import Ledger

_MOST = 25


async def report(ledger: Ledger, http: httpx.AsyncClient, name: str, *, pause_s: float) -> None:
    """One client, until the load closes."""
    chance = ledger.chance(name)
    number = 0
    while not ledger.closing.is_set():
        count = 1 if chance.random() < 0.7 else chance.randint(2, _MOST)
        names = [f"{name}-{number + one}" for one in range(count)]
        number += count
        events = [_event(name, one) for one in names]
        as_lines = count > 1 and chance.random() < 0.5
        with ledger.doing("reports"):
            answer = await ledger.insist(http, "POST", "/events", call=_call(events, as_lines), key=names[0])
        if answer is not None:
            ledger.acknowledge("pre_tool", *names)
        await ledger.pause(chance.uniform(0, 2 * pause_s))


def _call(events: list[dict[str, Any]], as_lines: bool) -> dict[str, Any]:
    if as_lines:
        text = "\n".join(map(json.dumps, events))
        return {"content": text, "headers": {"Content-Type": "application/x-ndjson"}}
    return {"json": events[0] if len(events) == 1 else events}


def _event(session: str, name: str) -> dict[str, Any]:
    return {
        "event_type": "pre_tool",
        "session_id": session,
        "session_name": session,
        "timestamp": "2026-01-17T12:00:00",
        "tool_name": "Bash",
        "tool_use_id": name,
        "tool_input": {"command": f"echo {name}"},
    }
