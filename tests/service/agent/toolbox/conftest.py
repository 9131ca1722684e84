"""Fixtures only; nothing imports from here."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchwire.agent import toolbox
from benchwire.agent.blueprint import Blueprint
from benchwire.agent.claim import Desk
from benchwire.agent.lab import Lab
from benchwire.agent.projection import SCHEMA
from benchwire.agent.sandbox import detect
from benchwire.agent.sessions.calls import Calls, Rules, Tool
from benchwire.agent.sessions.transcript import Transcript
from benchwire.agent.settings import Settings
from benchwire.agent.work import Work
from benchwire.events.bus import Bus
from benchwire.events.log import Log
from benchwire.events.projection import Projection
from benchwire.events.session import SessionClaimed, SessionRequested


class Opened(dict[str, Tool]):
    """The tools by name, and where they work."""

    def __init__(self, place: toolbox.Place, made: list[Tool]) -> None:
        super().__init__((one.name, one) for one in made)
        self.place = place


@pytest.fixture
def tools(bus: Bus, log: Log, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Opened]]:
    """The tools of a session that this test has claimed, by name; keywords are settings (``mcp_commands=("x",)``)."""

    @contextlib.asynccontextmanager
    async def opened(
        session_id: str = "s", blueprint: Blueprint | None = None, *, parent: str | None = None, **settings: Any
    ) -> AsyncGenerator[Opened, None]:
        own = Settings(data=tmp_path / session_id, **settings)
        workdir = own.home / "work"
        await asyncio.to_thread(workdir.mkdir, parents=True, exist_ok=True)
        projection = Projection(bus, own.home / "projection.sqlite", SCHEMA)
        lab = Lab(own, bus, projection, model=None, sandbox=await detect())
        projection.on_commit(lab.saw)
        async with projection.running():
            asked = SessionRequested(
                timestamp=datetime.now(UTC), session_id=session_id, session_name="S", prompt="work", parent_session_id=parent
            )  # fmt: skip
            await projection.wait_for(await log.append(asked))
            desk = Desk(log, lab.presence, "test")
            taken = await desk.session(session_id)
            assert isinstance(taken.event, SessionClaimed)
            claim, work = desk.claim(taken.event, taken.sequence), Work(session_id)
            work.claimed(taken.sequence)
            transcript = Transcript(claim, taken.state)
            place = toolbox.Place(
                request=transcript.request, blueprint=blueprint, workdir=workdir, sandbox=lab.sandbox, lab=lab, claim=claim,
                work=work, owner="test", timeout_s=20.0,
            )  # fmt: skip
            async with toolbox.opened(Calls(transcript, work, Rules()), place) as made:
                yield Opened(place, made)

    return opened
