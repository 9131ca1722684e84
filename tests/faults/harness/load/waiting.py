"""Waiting for what was asked for to end."""

import asyncio
import contextlib

import httpx

from .ledger import Ledger

_OVER = ("completed", "failed", "cancelled", "finished", "stopped")
_LOOK_EVERY_S = 0.3


async def over(ledger: Ledger, http: httpx.AsyncClient, path: str) -> None:
    """Returns when ``path`` shows an end, or when the load closes: then the end is waited for in the log."""
    while not ledger.closing.is_set():
        with contextlib.suppress(httpx.TransportError, ValueError):
            told = (await http.get(path)).json()
            if told.get("session", told).get("status") in _OVER:
                return
        await asyncio.sleep(_LOOK_EVERY_S)
