"""What clients of boards and flash jobs rely on."""

from typing import Any

import httpx

from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceLeased
from benchwire.events.document import DocumentCreated
from benchwire.events.flash import FlashRequested
from benchwire.events.host import HostStarted
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT
from benchwire.web.testing import refused


async def shown(client: httpx.AsyncClient, sequence: int) -> None:
    """Returns when the service shows what was written to the log at ``sequence``, past its door."""

    async def applied() -> bool:
        return bool((await client.get("/health")).json()["projection"]["applied"] >= sequence)

    await eventually(applied, what=f"event {sequence} to be shown")


async def test_devices_are_listed_with_what_clients_read(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    await log.append(HostStarted(timestamp=AT, host="lab-1", version="1", drivers=["pyocd"]))
    for device in ("b", "a"):
        await log.append(
            DeviceAttached(
                timestamp=AT,
                host="lab-1",
                device=device,
                profile="stm32f405",
                port="/dev/ttyUSB0",
                vid="0483",
                pid="374b",
            )
        )
    lease = DeviceLeased(
        timestamp=AT, host="lab-1", device="b", lease_id="l", holder="me", expires_at=AT.replace(year=2100)
    )
    await shown(client, await log.append(lease))

    async def devices() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await client.get("/api/devices")).json()["devices"]
        return listed

    async def reachable() -> bool:  # who is there is asked for every half second
        return all(one["state"] != "offline" for one in await devices())

    async with Presence(bus).announced(Present(service="flash-agent", name="lab-1", version="1", pid=1)):
        await eventually(reachable, what="the host to be there")
        (a, b) = await devices()
        assert {"port", "board_type", "chip_name", "vid", "pid", "host", "state", "lease"} <= set(a)
        assert (a["device_id"], a["board_type"], a["state"], a["lease"]) == ("a", "stm32f405", "available", None)
        assert (b["state"], b["lease"]["holder"]) == ("leased", "me")
        assert (await client.get("/api/deploy/devices")).json() == {"devices": [a, b]}


async def test_a_flash_is_queued_for_the_host_of_the_device(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    for host in ("lab-1", "lab-2"):
        await log.append(DeviceAttached(timestamp=AT, host=host, device="twin", profile="stm32f405"))
    await log.append(DeviceAttached(timestamp=AT, host="lab-1", device="one", profile="stm32f405"))
    image = await Blobs(bus).put(b"firmware", name="a.bin")
    document = DocumentCreated(
        timestamp=AT, document_id="doc_1", filename="a.bin", content_type="x", size_bytes=8, digest=image.digest
    )
    await shown(client, await log.append(document))
    answer = await client.post("/api/flash/start", json={"deviceId": "one", "artifact_id": image.digest})
    assert (answer.status_code, answer.json()["status"]) == (200, "started")
    job = (await client.get(f"/api/flash/jobs/{answer.json()['jobId']}")).json()
    assert (job["deviceId"], job["host"], job["status"], job["totalBytes"]) == ("one", "lab-1", "queued", 8)
    assert job["address"] == 0x0800_0000
    by_document = await client.post("/api/flash/start", json={"device_id": "lab-2/twin", "document_id": "doc_1"})
    assert by_document.json()["host"] == "lab-2"
    (asked,) = [one.event async for one in log.read(["bench.flash.lab-2.*.requested"])]
    assert isinstance(asked, FlashRequested)
    assert (asked.document_id, asked.image.digest) == ("doc_1", image.digest)
    refused(
        await client.post("/api/flash/start", json={"device_id": "twin", "artifact_id": image.digest}),
        400,
        "lab-1/twin",
    )
    refused(await client.post("/api/flash/start", json={"device_id": "none", "artifact_id": image.digest}), 404)
    refused(await client.post("/api/flash/start", json={"device_id": "one", "artifact_id": "0" * 64}), 404)
    refused(await client.post("/api/flash/start", json={"device_id": "one", "document_id": "doc_2"}), 404)
    refused(await client.post("/api/flash/start", json={"device_id": "one"}), 400)
    job_id = by_document.json()["jobId"]
    assert (await client.post(f"/api/flash/jobs/{job_id}/cancel")).json()["status"] == "cancelling"
    refused(await client.post(f"/api/flash/jobs/{job_id}/explode"), 404)
    assert len((await client.get("/api/flash/jobs?host=lab-1")).json()["jobs"]) == 1
    assert [one["state"] for one in (await client.get("/api/devices")).json()["devices"]] == ["offline"] * 3
