"""What the outside was promised, and how its calls went."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from ..invariants import Acked, Heard, Kept

_GIVES_UP_AFTER_S = 100.0  # a repeated call lands once within JetStream's duplicate window, which is 120 s
_PASSING = (503, 507)  # the log, or the disk, is away


class Ledger:
    """One for all of the load. ``closing`` says that nothing new is to be begun; what is under way is brought to its end."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.closing = asyncio.Event()
        self.acked: list[Acked] = []
        self.kept: dict[str, Kept] = {}
        self.heard: list[Heard] = []
        self.heard_of_documents: list[Heard] = []
        self.under_way: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.repeated = 0
        self.unresolved = 0
        self.strange: list[str] = []

    def chance(self, name: str) -> random.Random:
        """The randomness of one client."""
        return random.Random(f"{self._seed} {name}")

    def acknowledge(self, tag: str, *names: str) -> None:
        """A 2xx was answered."""
        self.acked += [(tag, name) for name in names]

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Counts ``what`` as under way for the time of the context."""
        self.under_way[what] += 1
        try:
            yield
        finally:
            self.under_way[what] -= 1

    async def pause(self, seconds: float) -> None:
        """Sleeps, unless it is time to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closing.wait()

    async def insist(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        *,
        expected: tuple[int, ...] = (200,),
        passing: tuple[int, ...] = (),
        call: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> httpx.Response | None:
        """The first answer with one of the ``expected`` statuses; the same call again while there is none, or one that passes.

        ``call`` are httpx's arguments. None when it was given up; what answers in a way that it never should is remembered.
        """
        begun, pause_s = time.monotonic(), 0.1
        arguments = dict(call or {})
        if key is not None:
            arguments["headers"] = {"Idempotency-Key": key} | arguments.get("headers", {})
        while time.monotonic() - begun < _GIVES_UP_AFTER_S:
            try:
                answer = await http.request(method, path, **arguments)
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
            else:
                self.answers[str(answer.status_code)] += 1
                if answer.status_code in expected:
                    return answer
                if answer.status_code not in (*_PASSING, *passing):
                    self.strange.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
                    return None
            self.repeated += 1
            await asyncio.sleep(pause_s)
            pause_s = min(1.0, pause_s * 2)
        self.unresolved += 1
        return None
