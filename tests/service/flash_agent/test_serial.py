"""Serial ports from end to end: the flash agent as a process of its own, the door and the document store, and a board that is this test."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import blocking
from websockets.asyncio.client import connect

from benchwire.documents.testing import serving
from benchwire.events import child, nats_server
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceLeased
from benchwire.events.document import DocumentCreated
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.serial import CaptureFailed, CaptureRequested, SerialWritten
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent.testing import Pty
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

HOST, BOARD = "lab-1", "echo-1"


class EchoBoard(Pty):
    """A board on a pty: echoes what it gets, knows the command ``version``, and asks for a login without ending that line."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.heard = b""

    def answer(self) -> None:
        data = os.read(self.master, 4096)
        self.heard += data
        self.print(data)
        if data.endswith(b"version\r\n"):
            self.print(b"firmware v1.20 \xff\r\nlogin: ")


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[EchoBoard]:
    board = EchoBoard(tmp_path / "tty")
    asyncio.get_running_loop().add_reader(board.master, board.answer)
    yield board
    asyncio.get_running_loop().remove_reader(board.master)
    board.close()


class Bench:
    """The lab without its flash agent: what is there before a host comes, and stays when it goes."""

    def __init__(self, nats: nats_server.Server, bus: Bus, board: EchoBoard, data: Path) -> None:
        self.nats = nats
        self.bus = bus
        self.board = board
        self.data = data
        self.spools = data / "agent" / "flash-agent" / "captures"

    @asynccontextmanager
    async def agent(self, door: httpx.AsyncClient) -> AsyncIterator[asyncio.subprocess.Process]:
        """The flash agent of this host, which has the one board; the door shows it already."""
        data = self.data / "agent"
        boards = data / "boards.toml"
        await asyncio.to_thread(data.mkdir, exist_ok=True)
        boards.write_text(f'[board.{BOARD}]\nport = "{self.board.link}"\n')
        own = {
            "NATS_URL": self.nats.url, "BENCHWIRE_DATA": str(data), "BENCHWIRE_HOST": HOST, "BENCHWIRE_BOARDS": str(boards),
            "BENCHWIRE_PROBES": "off", "BENCHWIRE_IDENTIFY": "off",
        }  # fmt: skip
        with (data / "agent.log").open("ab") as out:
            command = [sys.executable, "-m", "benchwire.flash_agent"]
            async with child.spawn(command, env={**os.environ, **own}, stdout=out, stderr=out, grace_s=5.0) as process:
                await eventually(lambda: Presence(self.bus).is_there("flash-agent", HOST), within_s=30)

                async def shown() -> bool:
                    return (await door.get(f"/api/devices/{BOARD}")).status_code == 200

                await eventually(shown, what="the door to show the board")
                yield process


@pytest.fixture
def bench(nats: nats_server.Server, bus: Bus, board: EchoBoard, tmp_path: Path) -> Bench:
    return Bench(nats, bus, board, tmp_path)


@pytest.fixture
async def door(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    own = Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client,
    ):
        with blocking.refused("benchwire.observability", "benchwire.events.follow", "benchwire.events.log"):
            yield client


async def ended(door: httpx.AsyncClient, capture_id: str) -> dict[str, Any]:
    """The capture when it is over, and has its document if it gets one; what was written to the log a moment ago may not be in the rows yet."""

    async def known() -> dict[str, Any] | None:
        answer = await door.get(f"/api/captures/{capture_id}", params={"wait_s": 30})
        return answer.json()["capture"] if answer.status_code == 200 else None

    told: dict[str, Any] = await eventually(known)
    return told


async def kept(documents: httpx.AsyncClient, document_id: str) -> bytes:
    async def known() -> httpx.Response | None:
        answer = await documents.get(f"/documents/{document_id}")
        return answer if answer.status_code == 200 else None

    answer: httpx.Response = await eventually(known)
    return answer.content


async def facts(log: Log, *filters: str) -> list[Any]:
    return [one.event async for one in log.read(list(filters))]


async def test_what_is_sent_is_answered_waited_for_and_listed(bench: Bench, log: Log, door: httpx.AsyncClient) -> None:
    url = f"/api/devices/{BOARD}/serial"
    async with bench.agent(door):
        asked = {"text": "version", "end": "\r\n", "until": r"v(\d+)\.(\d+)(-rc)?", "timeout_s": 30}
        answer = (await door.post(url, json=asked)).json()
        assert (answer["ok"], answer["written"], answer["matched"], answer["groups"]) == (
            True,
            9,
            True,
            ["1", "20", None],
        )
        assert (answer["line"], answer["lines"]) == ("firmware v1.20 \\xff", ["version", "firmware v1.20 \\xff"])
        (fact,) = await facts(log, "bench.serial.>")
        assert (fact, fact.data, fact.by) == (fact, b"version\r\n", None)
        assert isinstance(fact, SerialWritten)
        prompt = (await door.post(url, json={**asked, "until": "^login: $"})).json()
        assert (prompt["matched"], prompt["line"]) == (True, "login: "), "a line that has no end yet"
        silence = (await door.post(url, json={"until": "never", "timeout_s": 0.1})).json()
        assert (silence["written"], silence["matched"], silence["line"]) == (0, False, None)
        assert (await door.post(url, json={"hex": "01 ff", "end": "!"})).json()["matched"] is None
        assert (await door.post(url, json={"base64": "AAE="})).status_code == 200
        await eventually(lambda: bench.board.heard.endswith(b"\x01\xff!\x00\x01"))

        async def listed() -> list[dict[str, Any]]:
            lines: list[dict[str, Any]] = (await door.get(url)).json()["lines"]
            return lines if lines and lines[-1]["line"].endswith("\x01") else []

        lines = await eventually(listed)
        assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
        assert (lines[1]["line"], lines[1]["data"]) == ("firmware v1.20 \\xff", "ZmlybXdhcmUgdjEuMjAg/w==")
        last = (await door.get(url, params={"limit": 2, "host": HOST})).json()["lines"]
        assert last == lines[-2:]
        for body, status, words in (
            ({"text": "x", "until": "("}, 400, "regular expression"),
            ({}, 400, "to wait for"),
            ({"text": "x", "hex": "00"}, 400, "one of them"),
            ({"hex": "0"}, 400, "two digits"),
            ({"text": "x" * 70_000}, 400, "at once"),
            ({"text": "\ud800"}, 400, ""),
        ):
            refused = await door.post(url, content=json.dumps(body))
            assert (refused.status_code, words in refused.json()["detail"]) == (status, True), refused.text
        assert (await door.post("/api/devices/nobody/serial", json=asked)).status_code == 404
        lease = DeviceLeased(
            timestamp=datetime.now(UTC), host=HOST, device=BOARD, lease_id="lease_1", holder="ada",
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )  # fmt: skip
        await log.append(lease)

        async def leased() -> bool:
            return (await door.post(url, json={"text": "x"})).status_code == 409

        await eventually(leased)
        assert "ada" in (await door.post(url, json={"text": "x"})).json()["detail"]
        mine = await door.post(url, json={"text": "mine", "lease_id": "lease_1"})
        assert (mine.status_code, mine.json()["written"]) == (200, 4)
    gone = await door.post(url, json={"text": "x", "lease_id": "lease_1"})
    assert (gone.status_code, HOST in gone.json()["detail"]) == (503, True)


async def test_a_socket_tells_of_one_board_and_takes_what_it_is_to_be_sent(
    bench: Bench, door: httpx.AsyncClient
) -> None:
    base = str(door.base_url).replace("http", "ws").rstrip("/")

    async with bench.agent(door), connect(f"{base}/ws/serial/{BOARD}?host={HOST}") as socket:

        async def told() -> dict[str, Any]:
            frame: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 30))
            return frame

        await socket.send('{"type": "ping"}')
        assert await told() == {"type": "pong"}
        await socket.send('{"type": "write", "text": "hello", "end": "\\n"}')
        frames = {frame["type"]: frame for frame in [await told(), await told()]}
        assert (frames["written"]["written"], frames["written"]["deviceId"]) == (6, BOARD)
        line = frames["serial_line"]
        assert (line["line"], line["deviceId"], line["host"], line["lostBytes"]) == ("hello", BOARD, HOST, 0)
        for wrong in ("{", '{"type": "write"}', '{"type": "write", "hex": "x"}', '{"type": "other"}'):
            await socket.send(wrong)
            assert (await told())["type"] == "error"
    async with connect(f"{base}/ws/serial/nobody") as socket:
        assert json.loads(await socket.recv())["type"] == "error"
        await socket.wait_closed()
        assert socket.close_code == 4404


async def test_a_capture_becomes_a_document_whatever_dies_in_between(
    bench: Bench, log: Log, door: httpx.AsyncClient
) -> None:
    board, captures = bench.board, f"/api/devices/{BOARD}/captures"

    async def begun(**more: Any) -> dict[str, Any]:
        answer = await door.post(captures, json={"for_s": 600, **more})
        assert answer.status_code == 202, answer.text
        capture: dict[str, Any] = answer.json()["capture"]
        spool = bench.spools / f"{capture['capture_id']}.json"
        await eventually(spool.exists, what="the capture listens")
        return capture

    async with (
        serving(bench.nats.url, bench.data / "documents") as store,
        httpx.AsyncClient(base_url=store.url, timeout=60.0, trust_env=False) as documents,
    ):
        async with bench.agent(door) as process:
            matched = await begun(until="PASS", tags=["boot"])
            assert (matched["state"], matched["document_id"]) == ("running", None)
            board.print(b"BOOT \xff\r\nTEST ")
            board.print(b"PASS")
            told = await ended(door, matched["capture_id"])
            assert (told["state"], told["reason"], told["lost_bytes"]) == ("finished", "a line matched", 0)
            assert await kept(documents, told["document_id"]) == b"BOOT \xff\r\nTEST PASS"
            shown = (await documents.get(f"/documents/{matched['capture_id']}/metadata")).json()
            assert (shown["tags"], shown["metadata"]["device"], shown["metadata"]["host"]) == (
                ["serial", "boot"],
                BOARD,
                HOST,
            )
            assert shown["filename"].startswith(f"{BOARD}-")

            limited = await begun(max_bytes=4)
            board.print(b"123456")
            assert (await ended(door, limited["capture_id"]))["size_bytes"] == 4

            stopped = await begun()
            board.print(b"until here")
            spool = bench.spools / f"{stopped['capture_id']}.bytes"
            await eventually(lambda: spool.stat().st_size == 10)
            assert (await door.post(f"/api/captures/{stopped['capture_id']}/stop")).status_code == 200
            told = await ended(door, stopped["capture_id"])
            assert (told["reason"], told["size_bytes"]) == ("it was stopped on request", 10)
            assert (await door.post(f"/api/captures/{stopped['capture_id']}/stop")).status_code == 409

            cut_off = await begun()
            board.print(b"not all")
            spool = bench.spools / f"{cut_off['capture_id']}.bytes"
            await eventually(lambda: spool.stat().st_size == 7)
            process.kill()
            await process.wait()
        async with bench.agent(door):
            told = await ended(door, cut_off["capture_id"])
            assert (told["state"], told["reason"]) == ("finished", "the flash agent ended in the middle of it")
            assert await kept(documents, told["document_id"]) == b"not all"
            await eventually(lambda: not list(bench.spools.iterdir()), what="nothing is left on the disk")

            await asyncio.to_thread((bench.spools / "cap_full.bytes").symlink_to, "/dev/full")
            full = CaptureRequested(
                timestamp=datetime.now(UTC), host=HOST, capture_id="cap_full", device=BOARD, for_s=600, max_bytes=100
            )
            await log.append(full)
            await eventually((bench.spools / "cap_full.json").exists)
            board.print(b"too much")
            told = await ended(door, "cap_full")
            assert (told["state"], "No space left on device" in told["reason"]) == ("failed", True)
    ends = await facts(log, "bench.capture.*.*.finished", "bench.capture.*.*.failed")
    assert len(ends) == 5
    assert isinstance(ends[-1], CaptureFailed)
    made = [one for one in await facts(log, "bench.document.>") if isinstance(one, DocumentCreated)]
    assert len(made) == len({one.document_id for one in made}) == 4


async def test_a_capture_that_cannot_begin_is_refused_or_fails_with_a_sentence(
    bench: Bench, log: Log, door: httpx.AsyncClient
) -> None:
    async with bench.agent(door):
        for body, words in (
            ({"until": "("}, "regular expression"),
            ({"tags": ["a b"]}, "tag"),
            ({"for_s": 0}, "for_s"),
        ):
            refused = await door.post(f"/api/devices/{BOARD}/captures", json=body)
            assert (refused.status_code, words in refused.json()["detail"]) == (400, True), refused.text
        assert (await door.get("/api/captures/cap_none")).status_code == 404
        for name, device, until in (("cap_1", "nobody", None), ("cap_2", BOARD, "(")):
            asked = CaptureRequested(
                timestamp=datetime.now(UTC), host=HOST, capture_id=name, device=device, for_s=600, max_bytes=9, until=until
            )  # fmt: skip
            await log.append(asked)
        told = [await ended(door, name) for name in ("cap_1", "cap_2")]
    assert [one["state"] for one in told] == ["failed", "failed"]
    assert "nobody is not attached" in told[0]["reason"]
    assert "regular expression" in told[1]["reason"]

    async def away() -> str | None:
        answer = await door.post(f"/api/devices/{BOARD}/captures", json={})
        return str(answer.json()["detail"]) if answer.status_code == 503 else None

    assert HOST in await eventually(away)
