"""How documents hang together with each other and with the lab."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached
from benchwire.events.flash import FlashCompleted, FlashRequested
from benchwire.events.log import Log
from benchwire.events.task import NodeGenerated, NodeImageStored, TaskRequested
from benchwire.events.testing.samples import sample
from benchwire.web.testing import refused

Upload = Callable[..., Awaitable[dict[str, Any]]]


async def test_documents_can_be_linked_and_each_end_shows_it(
    client: httpx.AsyncClient, log: Log, upload: Upload
) -> None:
    old, new = await upload(client, "v1.txt"), await upload(client, "v2.txt", b"other")
    path = f"/documents/{new['id']}"

    def link(kind: str, to: str) -> Any:
        return client.post(f"{path}/links", json={"kind": kind, "to": to})

    made = await link("supersedes", old["id"])
    assert made.status_code == 201
    assert made.json()["links"] == [{"kind": "supersedes", "to": old["id"], "filename": "v1.txt"}]
    assert (await link("supersedes", old["id"])).json() == made.json()
    seen = (await client.get(f"/documents/{old['id']}/metadata")).json()
    assert seen["linked_from"] == [{"kind": "supersedes", "from": new["id"], "filename": "v2.txt"}]

    assert "task:t1" in refused(await link("part_of", "task:t1"), 404)
    await log.append(sample(TaskRequested, task_id="t1"))
    await log.append(sample(DeviceAttached, host="lab-1", device="board-1"))
    assert (await link("part_of", "task:t1")).status_code == 201
    assert (await link("part_of", "device:lab-1/board-1")).status_code == 201
    assert (await link("derived_from", f"artifact:{old['checksum']}")).status_code == 201
    of_task = (await client.get("/links", params={"of": "task:t1"})).json()
    assert of_task["linked_from"] == [{"kind": "part_of", "from": new["id"], "filename": "v2.txt"}]
    assert len((await client.get("/documents", params={"filename": "v2"})).json()[0]["links"]) == 4

    for to in ("doc_none", f"artifact:{'0' * 64}", "session:none", "flash:none", "device:lab-1/none"):
        refused(await link("part_of", to), 404)
    for to in (new["id"], "", "task:", "task:a.b", "device:x", "robot:x", "artifact:12", "*", "x" * 999):
        refused(await link("part_of", to), 400)
    assert "derived_from" in refused(await link("sibling_of", old["id"]), 400)
    refused(await client.post("/documents/doc_none/links", json={"kind": "part_of", "to": old["id"]}), 404)

    gone = await client.delete(f"{path}/links/part_of/device:lab-1/board-1")
    assert gone.status_code == 200
    assert [one["to"] for one in gone.json()["links"]] == [old["id"], "task:t1", f"artifact:{old['checksum']}"]
    refused(await client.delete(f"{path}/links/part_of/device:lab-1/board-1"), 404)
    await client.delete(f"/documents/{old['id']}")
    left = (await client.get(f"{path}/metadata")).json()["links"]
    assert left[0] == {"kind": "supersedes", "to": old["id"], "gone": True}


async def test_what_was_built_and_flashed_is_found_from_either_end(
    client: httpx.AsyncClient, log: Log, bus: Bus, upload: Upload
) -> None:
    code = "int main(void) {}"
    image, elf = await Blobs(bus).put(b"image", name="n-esp32.bin"), await Blobs(bus).put(b"elf", name="n-esp32.elf")
    where: dict[str, Any] = {"task_id": "t1", "node_id": "n", "iteration": 2}
    await log.append(sample(NodeGenerated, sources={"main.c": code}, **where))
    await log.append(sample(NodeImageStored, image=image, elf=elf, **where))
    job: dict[str, Any] = {"host": "lab-1", "job_id": "j1", "device": "board-1"}
    await log.append(sample(FlashRequested, image=image, task_id="t1", node_id="n", session_id="s1", **job))
    await log.append(sample(FlashCompleted, **job))
    source = await upload(client, "main.c", code.encode())
    firmware = await upload(client, "firmware.bin", b"image", kind="application/octet-stream")

    def ends(one: dict[str, Any]) -> list[tuple[str, str]]:
        return [(link["kind"], link.get("to") or link["from"]) for link in [*one["links"], *one["linked_from"]]]

    assert ends(firmware) == [("derived_from", "task:t1"), ("derived_from", source["id"]), ("flashed", "flash:j1")]
    (flash,) = firmware["linked_from"]
    assert (flash["device"], flash["status"], flash["derived"]) == ("lab-1/board-1", "completed", True)
    again = (await client.get(f"/documents/{source['id']}/metadata")).json()
    built = [("derived_from", f"artifact:{elf.digest}"), ("derived_from", firmware["id"])]
    assert sorted(ends(again)) == [*built, ("part_of", "task:t1")]
    of_image = (await client.get(f"/artifacts/{image.digest}/links")).json()
    assert of_image["documents"] == [firmware["id"]]
    assert ends(of_image) == ends(firmware)

    async def of(thing: str) -> list[tuple[str, str]]:
        answer = await client.get("/links", params={"of": thing})
        assert answer.status_code == 200
        return ends(answer.json())

    assert await of("device:lab-1/board-1") == [("flashed_on", "flash:j1")]
    assert await of("session:s1") == [("part_of", "flash:j1")]
    assert ("part_of", "flash:j1") in await of("task:t1")
    assert ("derived_from", firmware["id"]) in await of("task:t1")
    assert await of("flash:j1") == [
        ("flashed", firmware["id"]), ("flashed_on", "device:lab-1/board-1"), ("part_of", "task:t1"), ("part_of", "session:s1")
    ]  # fmt: skip
    refused(await client.get("/links", params={"of": "doc_none"}), 404)
    refused(await client.get("/links", params={"of": "x:y"}), 400)
