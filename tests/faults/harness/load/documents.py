"""Documents that come, change and go; some have the same bytes as another."""

import hashlib
import random

import httpx

from ..invariants import Kept
from .ledger import Ledger

_SIZES = (10, 5_000, 200_000, 700_000)
_SHARED = tuple(bytes([letter]) * 3000 for letter in b"ABC")
_GONE = 404  # an earlier try of the same delete got there


async def keep(ledger: Ledger, http: httpx.AsyncClient, name: str, *, pause_s: float) -> None:
    """One client, until the load closes. It alone changes and deletes what it has uploaded."""
    chance = ledger.chance(name)
    mine: list[str] = []
    number = 0
    while not ledger.closing.is_set():
        number += 1
        act = chance.random()
        with ledger.doing("document calls"):
            if act < 0.5 or not mine:
                await _upload(ledger, http, f"{name}-{number}", chance, mine)
            elif act < 0.75:
                await _change(ledger, http, chance.choice(mine), number)
            else:
                await _delete(ledger, http, mine.pop(chance.randrange(len(mine))))
        await ledger.pause(chance.uniform(0, 2 * pause_s))


async def _upload(ledger: Ledger, http: httpx.AsyncClient, key: str, chance: random.Random, mine: list[str]) -> None:
    body = chance.choice(_SHARED) if chance.random() < 0.3 else chance.randbytes(chance.choice(_SIZES))
    form = {"files": {"file": (f"{key}.bin", body)}, "data": {"tags": "load"}}
    answer = await ledger.insist(http, "POST", "/documents", expected=(201,), call=form, key=key)
    if answer is not None:
        document = answer.json()["id"]
        ledger.acknowledge("document_created", document)
        ledger.kept[document] = Kept(digest=hashlib.sha256(body).hexdigest())
        mine.append(document)


async def _change(ledger: Ledger, http: httpx.AsyncClient, document: str, revision: int) -> None:
    change = {"metadata": {"revision": str(revision)}}
    answer = await ledger.insist(http, "PATCH", f"/documents/{document}", call={"json": change})
    if answer is not None:
        ledger.kept[document].revision = revision


async def _delete(ledger: Ledger, http: httpx.AsyncClient, document: str) -> None:
    answer = await ledger.insist(http, "DELETE", f"/documents/{document}", expected=(200, _GONE))
    if answer is None:
        del ledger.kept[document]  # nobody knows
    else:
        ledger.acknowledge("document_deleted", document)
        ledger.kept[document].deleted = True
