"""Boards, leases and flash jobs through the service; what their hosts' flash agents would say is written to the log here."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from benchwire.events.asks import Handled, HandleDevice, Identified, IdentifyDevice, Refused
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceLeased, DeviceReleased
from benchwire.events.event import Artifact, Event
from benchwire.events.flash import FlashCompleted, FlashReported, FlashRequested, FlashStarted
from benchwire.events.host import HostStarted
from benchwire.events.lease import LeaseOffered, LeaseRequested, LeaseWithdrawn
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.task import NodeImageStored, NodeSpec, TaskFinished, TaskPlanned, TaskRequested
from benchwire.events.testing.eventually import eventually
from benchwire.observability.settings import Settings
from benchwire.web.testing import refused


def now() -> datetime:
    return datetime.now(UTC)


async def attach(client: httpx.AsyncClient, log: Log, device: str, host: str = "lab-1", **more: Any) -> None:
    """A board that the service sees."""
    made = {"profile": "stm32f405", "port": f"/dev/{device}", **more}
    await log.append(DeviceAttached(timestamp=now(), host=host, device=device, **made))
    await eventually(lambda: is_there(client, f"/api/devices/{device}?host={host}"))


async def is_there(client: httpx.AsyncClient, path: str) -> bool:
    return (await client.get(path)).status_code == 200


@pytest.fixture
async def hosts(bus: Bus, log: Log) -> AsyncIterator[None]:
    """Two hosts that are there."""
    async with contextlib.AsyncExitStack() as stack:
        for host in ("lab-1", "lab-2"):
            await log.append(HostStarted(timestamp=now(), host=host, version="1"))
            present = Present(service="flash-agent", name=host, version="1", pid=1)
            await stack.enter_async_context(Presence(bus).announced(present))
        yield


async def events(log: Log, filter_: str) -> list[Event]:
    return [one.event async for one in log.read([filter_])]


async def granted(log: Log, device: str, lease_id: str | None = None, host: str = "lab-1") -> str:
    """What the board's host does for the oldest request that waits, or for that one."""

    async def waiting() -> LeaseRequested | None:
        found = [one for one in await events(log, "bench.lease.*.requested") if isinstance(one, LeaseRequested)]
        return next((one for one in found if lease_id in (None, one.lease_id)), None)

    asked: LeaseRequested = await eventually(waiting, within_s=20)
    on: dict[str, Any] = {"timestamp": now(), "host": host, "device": device, "lease_id": asked.lease_id}
    await log.append(LeaseOffered(**on))
    until = now() + timedelta(seconds=asked.for_s)
    await log.append(DeviceLeased(**on, holder=asked.holder, expires_at=until))
    return asked.lease_id


async def leased(client: httpx.AsyncClient, log: Log, device: str, holder: str = "ada", host: str = "lab-1") -> str:
    """A lease that is held for an hour."""
    lease_id = f"lease-{device}"
    until = now() + timedelta(hours=1)
    await log.append(
        DeviceLeased(timestamp=now(), host=host, device=device, lease_id=lease_id, holder=holder, expires_at=until)
    )
    await eventually(lambda: is_there(client, f"/api/leases/{lease_id}"))
    return lease_id


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


# Boards


@pytest.mark.usefixtures("hosts")
async def test_boards_are_found_by_what_they_are_and_by_their_names(client: httpx.AsyncClient, log: Log) -> None:
    await attach(client, log, "a", labels={"rack": "2", "camera": "yes"})
    await attach(client, log, "b", labels={"rack": "2"}, profile="esp32c3")
    await attach(client, log, "twin")
    await attach(client, log, "twin", host="lab-2")
    await leased(client, log, "b")

    async def names(**query: Any) -> list[str]:
        listed = ok(await client.get("/api/devices", params=query))["devices"]
        return [f"{one['host']}/{one['device_id']}" for one in listed]

    assert await names(label=["rack=2", "camera=yes"]) == ["lab-1/a"]
    assert await names(label="rack=2", profile="esp32c3") == ["lab-1/b"]
    assert await names(host="lab-2") == ["lab-2/twin"]
    assert await names(state="leased") == ["lab-1/b"]
    refused(await client.get("/api/devices", params={"label": "rack"}), 400, "rack=2")
    refused(await client.get("/api/devices", params={"profile": "toaster"}), 400, "toaster")
    one = ok(await client.get("/api/devices/a"))["device"]
    assert (one["labels"], one["needs_flash"], one["flash_state"]) == ({"rack": "2", "camera": "yes"}, False, None)
    refused(await client.get("/api/devices/twin"), 400, "lab-1/twin", "lab-2/twin")
    assert ok(await client.get("/api/devices/twin", params={"host": "lab-2"}))["device"]["host"] == "lab-2"
    refused(await client.get("/api/devices/nothing"), 404, "nothing")


Serve = Callable[[bytes], Awaitable[msgspec.Struct]]


async def test_a_hand_on_a_board_is_its_hosts_and_what_that_says_is_told(
    client: httpx.AsyncClient, log: Log, bus: Bus
) -> None:
    await attach(client, log, "a")
    refused(await client.post("/api/devices/a/reset"), 503, "lab-1", "is not there")
    heard: list[Any] = []

    async def handle(body: bytes) -> msgspec.Struct:
        heard.append(msgspec.json.decode(body, type=HandleDevice))
        if heard[-1].do == "power_off":
            return Refused(code="no_hook", detail="no hook switches the supply of a")
        return Handled(device="a")

    async def identify(body: bytes) -> msgspec.Struct:
        heard.append(msgspec.json.decode(body, type=IdentifyDevice))
        return Identified(chip="STM32F405", profile="stm32f405")

    async with bus.serving(
        "flash-agent", "1.0.0", {"ask.host.lab-1.handle": handle, "ask.host.lab-1.identify": identify}
    ):
        assert ok(await client.post("/api/devices/a/reset")) == {"ok": True, "device_id": "a", "host": "lab-1"}
        ok(await client.post("/api/devices/a/reset", json={"mode": "download"}))
        ok(await client.post("/api/devices/a/power", json={"on": True}))
        refused(await client.post("/api/devices/a/power", json={"on": False}), 409, "no hook")
        told = ok(await client.post("/api/devices/a/identify"))
        assert (told["chip"], told["problem"]) == ("STM32F405", None)
        assert [getattr(one, "do", "identify") for one in heard] == [
            "reset",
            "download",
            "power_on",
            "power_off",
            "identify",
        ]
        lease_id = await leased(client, log, "a")
        heard.clear()
        for path, body in (("reset", {}), ("power", {"on": True}), ("identify", {})):
            refused(await client.post(f"/api/devices/a/{path}", json=body), 409, "ada")
        ok(await client.post("/api/devices/a/reset", json={"lease_id": lease_id}))
        assert [one.lease_id for one in heard] == [lease_id]


# Leases


async def test_a_lease_is_waited_for_held_renewed_and_given_back(client: httpx.AsyncClient, log: Log) -> None:
    await attach(client, log, "a", labels={"camera": "yes"})
    body = {"holder": "ada", "profile": "stm32f405", "labels": {"camera": "yes"}, "for_s": 60, "wait_s": 20}
    waiting = asyncio.create_task(client.post("/api/leases", json=body))
    await granted(log, "a")
    lease = ok(await waiting, 201)["lease"]
    assert (lease["state"], lease["device_id"], lease["host"], lease["place"]) == ("held", "a", "lab-1", None)
    (device,) = ok(await client.get("/api/devices"))["devices"]
    assert device["lease"]["lease_id"] == lease["lease_id"]
    longer = ok(await client.post(f"/api/leases/{lease['lease_id']}/renew", json={"for_s": 600}))["lease"]
    assert longer["expires_at"] > lease["expires_at"]
    assert ok(await client.post(f"/api/leases/{lease['lease_id']}/renew", json={"for_s": 5}))["lease"] == longer
    ended = ok(await client.delete(f"/api/leases/{lease['lease_id']}"))["lease"]
    assert (ended["state"], ended["reason"]) == ("ended", "given back")
    assert ok(await client.delete(f"/api/leases/{lease['lease_id']}"))["lease"] == ended
    refused(await client.post(f"/api/leases/{lease['lease_id']}/renew"), 409, "not held")
    refused(await client.get("/api/leases/nothing"), 404)
    kinds = [type(one) for one in await events(log, "bench.device.lab-1.a.*")]
    assert kinds == [DeviceAttached, DeviceLeased, DeviceLeased, DeviceLeased, DeviceReleased]


async def test_a_request_that_comes_to_nothing_says_what_was_in_the_way_and_leaves_the_queue(
    client: httpx.AsyncClient, log: Log
) -> None:
    await attach(client, log, "a")
    await leased(client, log, "a", holder="bob")
    refused(
        await client.post("/api/leases", json={"holder": "ada", "device_id": "/dev/a", "wait_s": 0}),
        409,
        "a on lab-1 by bob",
    )
    wanted = {"holder": "ada", "labels": {"camera": "yes"}, "wait_s": 0}
    refused(await client.post("/api/leases", json=wanted), 409, "camera=yes", "not plugged in")
    refused(await client.post("/api/leases", json={"holder": "ada", "device_id": "z"}), 404, "'z'")
    refused(await client.post("/api/leases", json={"holder": "ada"}), 400, "device_id")
    assert len(await events(log, "bench.lease.*.withdrawn")) == 2
    assert ok(await client.get("/api/leases", params={"state": "waiting"})) == {"leases": []}


async def test_a_patient_request_stays_in_the_queue_and_has_its_place(client: httpx.AsyncClient, log: Log) -> None:
    await attach(client, log, "a")
    asked = {"device_id": "a", "wait_s": 0, "patience_s": 600}
    first, second = [
        ok(await client.post("/api/leases", json={"holder": holder, **asked}), 202)["lease"]
        for holder in ("ada", "bob")
    ]
    assert [one["place"] for one in (first, second)] == [1, 2]
    listed = ok(await client.get("/api/leases", params={"holder": "bob"}))["leases"]
    assert [(one["lease_id"], one["place"], one["state"]) for one in listed] == [(second["lease_id"], 2, "waiting")]
    assert ok(await client.delete(f"/api/leases/{first['lease_id']}"))["lease"]["state"] == "ended"
    waiting = asyncio.create_task(client.get(f"/api/leases/{second['lease_id']}", params={"wait_s": 20}))
    await granted(log, "a", second["lease_id"])
    assert ok(await waiting)["lease"]["state"] == "held"


async def test_who_goes_away_while_he_waits_has_left_the_queue(client: httpx.AsyncClient, port: int, log: Log) -> None:
    await attach(client, log, "a")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as impatient:
        body = {"holder": "ada", "device_id": "a", "wait_s": 25}
        waiting = asyncio.create_task(impatient.post("/api/leases", json=body))
        await eventually(lambda: events(log, "bench.lease.*.requested"))
        waiting.cancel()
        await asyncio.wait([waiting])
    (gone,) = await eventually(lambda: events(log, "bench.lease.*.withdrawn"))
    assert isinstance(gone, LeaseWithdrawn)
    assert gone.reason == "taken back by who asked for it"


@pytest.mark.usefixtures("hosts")
async def test_a_call_that_is_repeated_with_its_key_asks_once(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    await attach(client, log, "a")
    key = {"Idempotency-Key": "once"}
    asked = {"holder": "ada", "device_id": "a", "wait_s": 0, "patience_s": 60}
    leases = [ok(await client.post("/api/leases", json=asked, headers=key), 202)["lease"]["lease_id"] for _ in range(2)]
    image = await Blobs(bus).put(b"firmware", name="a.bin")
    body = {"profile": "stm32f405", "artifact_id": image.digest}
    jobs = [ok(await client.post("/api/flash/start", json=body, headers=key))["jobId"] for _ in range(2)]
    assert (len(set(leases)), len(set(jobs))) == (1, 1)
    assert [len(await events(log, one)) for one in ("bench.lease.*.requested", "bench.flash.*.*.requested")] == [1, 1]


async def test_what_an_ended_session_or_task_holds_or_waits_for_is_given_back(
    client: httpx.AsyncClient, log: Log
) -> None:
    await attach(client, log, "a")
    await attach(client, log, "b")
    hook = {"event_type": "session_start", "session_id": "s", "timestamp": "2026-01-17T12:00:00"}
    ok(await client.post("/events", json=hook))
    await leased(client, log, "a", holder="s")
    await leased(client, log, "b", holder="ada")
    asked = {"holder": "s/second", "device_id": "b", "wait_s": 0, "patience_s": 600}
    waits = ok(await client.post("/api/leases", json=asked), 202)["lease"]["lease_id"]
    ok(await client.post("/sessions/s/stop"))

    async def given_back() -> bool:
        states = [ok(await client.get(f"/api/leases/{one}"))["lease"] for one in ("lease-a", waits)]
        return [(one["state"], one["reason"]) for one in states] == [("ended", "who held it has ended")] * 2

    await eventually(given_back)
    assert ok(await client.get("/api/leases/lease-b"))["lease"]["state"] == "held"


# Flash jobs


async def image_of(bus: Bus) -> str:
    return (await Blobs(bus).put(b"firmware", name="a.bin")).digest


async def requests(log: Log) -> list[FlashRequested]:
    return [one for one in await events(log, "bench.flash.*.*.requested") if isinstance(one, FlashRequested)]


async def test_a_leased_board_is_flashed_by_who_has_its_lease(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    await attach(client, log, "a")
    lease_id = await leased(client, log, "a")
    digest = await image_of(bus)
    refused(
        await client.post("/api/flash/start", json={"device_id": "a", "artifact_id": digest}), 409, "ada", "lease_id"
    )
    by_port = {"device_id": "/dev/a", "artifact_id": digest, "lease_id": lease_id, "priority": 3, "retries": 1}
    ok(await client.post("/api/flash/start", json=by_port))
    by_lease = ok(await client.post("/api/flash/start", json={"artifact_id": digest, "lease_id": lease_id}))
    assert (by_lease["deviceId"], by_lease["host"]) == ("a", "lab-1")
    assert [(one.lease_id, one.priority, one.retries) for one in await requests(log)] == [
        (lease_id, 3, 1),
        (lease_id, 0, 0),
    ]


@pytest.mark.usefixtures("hosts")
async def test_jobs_for_any_board_of_a_kind_spread_over_those_there_are(
    client: httpx.AsyncClient, log: Log, bus: Bus
) -> None:
    for number in range(4):
        await attach(client, log, f"b{number}", host=f"lab-{number % 2 + 1}", labels={"rack": "2"})
    await attach(client, log, "held", labels={"rack": "2"})
    await attach(client, log, "elsewhere", host="lab-9", labels={"rack": "2"})
    await leased(client, log, "held")
    body = {"labels": {"rack": "2"}, "artifact_id": await image_of(bus)}
    answers = await asyncio.gather(*(client.post("/api/flash/start", json=body) for _ in range(8)))
    taken = sorted(ok(one)["deviceId"] for one in answers)
    assert taken == ["b0", "b0", "b1", "b1", "b2", "b2", "b3", "b3"]
    refused(await client.post("/api/flash/start", json={**body, "labels": {"rack": "3"}}), 409, "rack=3")
    refused(await client.post("/api/flash/start", json={**body, "labels": {}, "profile": "toaster"}), 400, "toaster")


async def test_firmware_comes_along_as_a_file(
    client: httpx.AsyncClient, log: Log, bus: Bus, settings: Settings
) -> None:
    await attach(client, log, "a")
    data = b"\x00\x01" * 1_500_000
    digest = hashlib.sha256(data).hexdigest()
    form = {"deviceId": "a", "options.erase": "chip", "max_bytes_per_s": "5000", "priority": "-2"}
    ok(await client.post("/api/flash/start?partition=app", data=form, files={"file": ("dir/fw.bin", data)}))
    parts = [("file@0x0", ("boot.bin", b"boot")), ("firmware@65536", ("app.bin", b"app"))]
    ok(await client.post("/api/flash/start", data={"device_id": "a"}, files=parts))
    one, several = await requests(log)
    assert (one.image, one.partition) == (Artifact(digest=digest, size_bytes=len(data), name="fw.bin"), "app")
    assert (one.options.erase, one.max_bytes_per_s, one.priority) == ("chip", 5000, -2)
    assert await Blobs(bus).get(digest) == data
    assert [(part.image.name, part.address) for part in several.parts] == [("boot.bin", 0), ("app.bin", 65536)]
    assert await asyncio.to_thread(lambda: list(settings.incoming.iterdir())) == []
    # A name that is not ASCII, as some clients send it.
    head = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''%C3%BC.bin\r\n\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    body = head + b"\xff\xfe\r\n--x--\r\n"
    ok(await client.post("/api/flash/start?device_id=a", content=body, headers=kind))
    assert (await requests(log))[-1].image.name == "ü.bin"


async def test_firmware_that_cannot_be_taken_leaves_nothing_behind(
    client: httpx.AsyncClient, port: int, log: Log, bus: Bus, settings: Settings
) -> None:
    await attach(client, log, "a")
    start, file = "/api/flash/start", {"file": ("a.bin", b"unwanted")}
    refused(await client.post(start, data={"device_id": "z"}, files=file), 404, "'z'")
    refused(await client.post(start, data={"device_id": "a"}, files={"other": ("a.bin", b"x")}), 400, "file@0x10000")
    refused(await client.post(start, data={"device_id": "a"}, files={"file@there": ("a.bin", b"x")}), 400, "there")
    refused(await client.post(start, data={"device_id": "a", "document_id": "doc_1"}, files=file), 400, "twice")
    refused(await client.post(start, data={"device_id": "a", "priority": "high"}, files=file), 400, "priority")
    refused(await client.post(start, data={"device_id": "a", "retreis": "1"}, files=file), 400, "retreis", "retries")
    refused(await client.post(f"{start}?partiton=app", data={"device_id": "a"}, files=file), 400, "partiton")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(await client.post(start, content=b"--x\r\nnonsense", headers=kind), 400, "form")
    refused(await client.post(start, content=b"{" * 9_000_000), 413)
    reader, writer = await begun(port, length=1 << 30)
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 20.0)
    writer.close()
    _, writer = await begun(port, length=9999)
    writer.write(b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of i')
    await writer.drain()
    await eventually(lambda: asyncio.to_thread(lambda: list(settings.incoming.iterdir())))
    writer.close()
    await eventually(lambda: asyncio.to_thread(lambda: not list(settings.incoming.iterdir())))
    assert await requests(log) == []
    assert not await Blobs(bus).has(hashlib.sha256(b"unwanted").hexdigest())


async def begun(port: int, *, length: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a form of that length is to follow."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"Host: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}"
    writer.write(f"POST /api/flash/start HTTP/1.1\r\n{head}\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def test_a_query_alone_says_what_to_flash(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    await attach(client, log, "a")
    query = {"deviceId": "a", "artifactId": await image_of(bus), "partition": "system", "timeout_s": "9"}
    ok(await client.post("/api/flash/start", params=query))
    (asked,) = await requests(log)
    assert (asked.partition, asked.timeout_s) == ("system", 9.0)
    refused(await client.post("/api/flash/start", params={**query, "retries": "many"}), 400, "retries")


async def test_a_job_is_asked_to_go_slower_and_one_of_an_outside_flasher_is_not_asked(
    client: httpx.AsyncClient, log: Log, bus: Bus
) -> None:
    await attach(client, log, "a")
    job = ok(await client.post("/api/flash/start", json={"device_id": "a", "artifact_id": await image_of(bus)}))[
        "jobId"
    ]
    throttle = f"/api/flash/jobs/{job}/throttle"
    for wish in (5000, None):
        assert ok(await client.post(throttle, json={"max_bytes_per_s": wish})) == {"jobId": job, "status": "queued"}
    refused(await client.post(throttle, json={"max_bytes_per_s": 1}), 400, "max_bytes_per_s")
    assert len(await events(log, f"bench.flash.lab-1.{job}.throttle_requested")) == 2
    await log.append(FlashReported(timestamp=now(), host="outside", job_id="theirs", device="x", status="started"))
    await eventually(lambda: is_there(client, "/api/flash/jobs/theirs"))
    for path in ("pause", "cancel"):
        refused(await client.post(f"/api/flash/jobs/theirs/{path}"), 409, "outside")


async def test_the_history_and_what_it_tells(client: httpx.AsyncClient, log: Log) -> None:
    image = Artifact(digest="0" * 64, size_bytes=4096, name="a.bin")
    for number in range(3):
        on: dict[str, Any] = {"timestamp": now(), "host": "lab-1", "job_id": f"j{number}", "device": "a"}
        await log.append(FlashRequested(**on, image=image, address=0, profile="stm32f405"))
        await log.append(FlashStarted(**on, total_bytes=4096, driver="pyocd"))
        if number:
            await log.append(FlashCompleted(**on, total_bytes=4096, duration_s=float(number), verified_by="crc"))
    await eventually(lambda: is_over(client, "j2"))
    page = ok(await client.get("/api/flash/history", params={"limit": 1}))
    assert [one["jobId"] for one in page["history"]] == ["j2"]
    rest = ok(await client.get("/api/flash/history", params={"before": page["next_before"]}))
    assert ([one["jobId"] for one in rest["history"]], rest["next_before"]) == (["j1"], None)
    told = ok(await client.get("/api/flash/analytics", params={"by": "host"}))
    assert (told["total"]["jobs"], told["total"]["success_rate"], told["is_all"]) == (2, 1.0, True)
    (group,) = told["groups"]
    assert (group["key"], group["duration_s"]) == ("lab-1", {"p50": 1.0, "p90": 2.0, "p99": 2.0})
    assert group["speed_bytes_per_s"]["p50"] == 2048.0
    for wrong in ({"by": "moon"}, {"since": "yesterday"}, {"limit": "0"}):
        refused(await client.get("/api/flash/analytics", params=wrong), 400)


async def is_over(client: httpx.AsyncClient, job_id: str) -> bool:
    answer = await client.get(f"/api/flash/jobs/{job_id}")
    return answer.status_code == 200 and answer.json()["endedAt"] is not None


# What a task made


async def finished(client: httpx.AsyncClient, log: Log, bus: Bus, *, ends: bool = True) -> Artifact:
    """A task of three nodes, of which two have stored an image, for two kinds of boards."""
    image = await Blobs(bus).put(b"of a node", name="counter.bin")
    nodes = [
        NodeSpec(node_id="one", board="stm32f405"),
        NodeSpec(node_id="two", board="stm32f405"),
        NodeSpec(node_id="c3", board="esp32c3"),
    ]
    of: dict[str, Any] = {"timestamp": now(), "task_id": "task-1"}
    await log.append(TaskRequested(**of, kind="firmware", prompt="count"))
    await log.append(TaskPlanned(**of, nodes=nodes, estimated_iterations=1))
    for node_id in ("one", "c3"):
        await log.append(NodeImageStored(**of, node_id=node_id, iteration=1, image=image, elf=image))
    if ends:
        await log.append(TaskFinished(**of, duration_s=1.0))

    async def is_seen() -> bool:
        told = (await client.get("/tasks/task-1/results")).json()
        images = [one["image"] for one in told.get("modules", ())]
        return len(images) == 3 and images[2] is not None and (not ends or told["status"] == "completed")

    await eventually(is_seen)
    return image


@pytest.mark.usefixtures("hosts")
async def test_the_image_of_a_node_goes_to_the_board_on_a_port(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    image = await finished(client, log, bus, ends=False)
    await attach(client, log, "a")
    await attach(client, log, "c", profile="esp32c3")
    body = {"session_id": "task-1", "node_id": "one", "port": "/dev/a"}
    told = ok(await client.post("/api/deploy/flash", json=body))
    assert (told["deviceId"], told["status"], told["operations"][0]["jobId"]) == ("a", "started", told["jobId"])
    (asked,) = await requests(log)
    assert (asked.image, asked.task_id, asked.node_id, asked.address) == (image, "task-1", "one", 0x0800_0000)
    without = ok(await client.post("/api/deploy/flash", json={"task_id": "task-1", "node_id": "c3"}))
    assert without["deviceId"] == "c"
    refused(await client.post("/api/deploy/flash", json={**body, "port": "/dev/c"}), 400, "stm32f405", "esp32c3")
    refused(await client.post("/api/deploy/flash", json={**body, "port": "/dev/z"}), 404)
    refused(await client.post("/api/deploy/flash", json={**body, "node_id": "two"}), 404, "no image")
    refused(await client.post("/api/deploy/flash", json={**body, "node_id": "x"}), 400, "one, two, c3")
    refused(await client.post("/api/deploy/flash", json={**body, "session_id": "s"}), 404, "'s'")
    refused(await client.post("/api/deploy/flash-all", json={"task_id": "task-1"}), 409, "still running")


@pytest.mark.usefixtures("hosts")
async def test_all_that_a_task_made_goes_to_boards_of_its_kind(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    await finished(client, log, bus)
    await attach(client, log, "a")
    (one, two, c3) = ok(await client.post("/api/deploy/flash-all", json={"task_id": "task-1"}))["operations"]
    assert (one["node_id"], one["deviceId"], one["status"]) == ("one", "a", "started")
    assert (two["status"], "no image" in two["error"]) == ("failed", True)
    assert (c3["status"], "esp32c3 is not plugged in" in c3["error"]) == ("failed", True)
    (again, *_) = ok(await client.post("/api/deploy/flash-all", json={"session_id": "task-1"}))["operations"]
    assert "busy" in again["error"]
