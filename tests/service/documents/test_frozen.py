"""What the document store says while NATS is frozen."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx

from benchwire.documents.testing import serving
from benchwire.events import nats_server
from benchwire.events.testing.eventually import eventually


async def test_while_nats_is_frozen_everything_answers_in_time_and_nothing_says_it_is_well(
    nats: nats_server.Server, tmp_path: Path
) -> None:
    async with (
        serving(nats.url, tmp_path / "data") as service,
        httpx.AsyncClient(base_url=service.url, timeout=30.0, trust_env=False) as client,
    ):
        file = {"file": ("a.txt", b"x")}
        made = f"/documents/{(await client.post('/documents', files=file)).json()['id']}"

        async def unwell() -> Any:
            health = await client.get("/health")
            return health.json() if health.status_code == 503 else None

        link = {"kind": "part_of", "to": "session:s"}
        nats.process.send_signal(signal.SIGSTOP)
        try:
            assert "NATS does not answer" in (await eventually(unwell))["detail"]
            for answer in await asyncio.gather(
                client.post("/documents", files=file),
                client.patch(made, json={"tags": ["t"]}),
                client.post(f"{made}/links", json=link),
                client.delete(made),
            ):
                assert answer.status_code == 503, (answer.request.method, answer.text)
                assert int(answer.headers["Retry-After"]) > 0
                assert answer.json()["detail"]
            for path in ("/documents", "/documents/tags", f"{made}/metadata"):
                assert (await client.get(path)).status_code == 200, path
        finally:
            nats.process.send_signal(signal.SIGCONT)

        async def well() -> bool:
            return (await client.get("/health")).status_code == 200

        await eventually(well)
