"""Work for the agent runners: sessions that call tools, a module, a firmware."""

import httpx

from ..cassette import CODE_TASK, FIRMWARE_TASK
from .ledger import Ledger
from .waiting import over

_EXISTS = 409  # the call before this one landed, although nobody was told


async def sessions(ledger: Ledger, http: httpx.AsyncClient, name: str, *, pause_s: float) -> None:
    """One session after the other, until the load closes."""
    chance = ledger.chance(name)
    number = 0
    while not ledger.closing.is_set():
        number += 1
        one = f"{name}-{number}"
        asked = {"session_id": one, "session_name": one, "prompt": f"work as {one}; go"}
        with ledger.doing("sessions"):
            answer = await ledger.insist(http, "POST", "/sessions", expected=(200, _EXISTS), call={"json": asked})
            if answer is not None:
                ledger.acknowledge("session_requested", one)
                await over(ledger, http, f"/sessions/{one}")
        await ledger.pause(chance.uniform(0, 2 * pause_s))


async def tasks(ledger: Ledger, http: httpx.AsyncClient, name: str, *, pause_s: float) -> None:
    """One task after the other, a module or a firmware, until the load closes."""
    chance = ledger.chance(name)
    number = 0
    while not ledger.closing.is_set():
        number += 1
        asked = chance.choice((CODE_TASK, FIRMWARE_TASK))
        with ledger.doing("tasks"):
            answer = await ledger.insist(http, "POST", "/tasks", call={"json": asked}, key=f"{name}-{number}")
            if answer is not None:
                task = answer.json()["task_id"]
                ledger.acknowledge("task_requested", task)
                await over(ledger, http, f"/tasks/{task}")
        await ledger.pause(chance.uniform(0, 2 * pause_s))
