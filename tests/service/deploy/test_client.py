"""The client of a lab, against a socket that tells what a lab tells."""

from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from benchwire.client.errors import NoLab
from benchwire.deploy import client as clients
from benchwire.deploy.client import Client

FRAMES: list[dict[str, Any]] = [
    {"type": "TASK_STARTED", "seq": 1},
    {"type": "MODULE_ITERATION", "seq": 5},
    {"type": "TEST_PASSED", "seq": 5},
    {"type": "ERROR"},
    {"type": "TASK_COMPLETE", "seq": 6},
]


async def test_frames_that_share_their_place_in_the_log_are_all_told_and_each_once() -> None:
    """``seq`` is a place in the log, and one fact may be told in several frames. After a break all are sent again."""
    calls = 0

    async def tell(socket: ServerConnection) -> None:
        nonlocal calls
        calls += 1
        for frame in FRAMES[:2] if calls == 1 else FRAMES:
            await socket.send(msgspec.json.encode(frame).decode())

    async with serve(tell, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]

        class Lab(Client):
            async def task(self, task_id: str) -> dict[str, Any]:
                return {"task_id": task_id, "status": "in_progress"}

        async with Lab(f"http://127.0.0.1:{port}") as client:
            assert [frame["type"] async for frame in client.frames("task-1")] == [frame["type"] for frame in FRAMES]


async def test_a_lab_that_is_started_anew_is_waited_for_and_one_that_stays_away_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "AGAIN_S", 0.01)
    asked = 0

    class Lab(Client):
        async def task(self, task_id: str) -> dict[str, Any]:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise NoLab("it is away")
            return {"task_id": task_id, "status": "completed"}

    async with Lab("http://127.0.0.1:9") as client:
        assert [frame async for frame in client.frames("task-1")] == []
        assert asked == 3
        asked = 0
        monkeypatch.setattr(clients, "AWAY_S", -1.0)
        with pytest.raises(NoLab, match="away"):
            _ = [frame async for frame in client.frames("task-1")]
    assert asked == 1
