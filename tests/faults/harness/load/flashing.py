"""Flash jobs, one after the other on each board."""

import httpx

from benchwire.boards import profile as profiles

from ..lab import BOARDS, place_of
from .ledger import Ledger
from .waiting import over

_SIZES = (700, 4096, 9000)
_NOT_NOW = (404, 409)  # the board's agent is between two lives


async def flash(ledger: Ledger, http: httpx.AsyncClient, board: str, *, pause_s: float) -> None:
    """Keeps one board busy until the load closes."""
    chance = ledger.chance(board)
    address, _ = place_of(profiles.load(BOARDS[board]))
    number = 0
    while not ledger.closing.is_set():
        number += 1
        image = chance.randbytes(chance.choice(_SIZES))
        asked = {"device_id": board, "address": str(address)}
        with ledger.doing("flash jobs"):
            answer = await ledger.insist(
                http, "POST", "/api/flash/start", passing=_NOT_NOW, key=f"{board}-{number}",
                call={"files": {"file": ("image.bin", image)}, "data": asked},
            )  # fmt: skip
            if answer is not None:
                job = answer.json()["jobId"]
                ledger.acknowledge("flash_requested", job)
                await over(ledger, http, f"/api/flash/jobs/{job}")
        await ledger.pause(chance.uniform(0, 2 * pause_s))
