"""The numbers of the document store."""

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchwire.documents.testing import serving
from benchwire.events import nats_server

PREFIX = "benchwire_documents_"


async def numbers(http: httpx.AsyncClient) -> dict[str, float]:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {one.name.removeprefix(PREFIX): one.value for family in families for one in family.samples if not one.labels}


async def test_uploads_and_downloads_and_what_is_kept_are_counted(nats: nats_server.Server, tmp_path: Path) -> None:
    async with (
        serving(nats.url, tmp_path) as service,
        httpx.AsyncClient(base_url=service.url, timeout=20, trust_env=False) as http,
    ):
        made = [await http.post("/documents", files={"file": (f"{name}.txt", b"hello")}) for name in "ab"]
        made.append(await http.post("/documents", files={"file": ("c.txt", b"something else")}))
        place = f"/documents/{made[0].json()['id']}"
        whole = await http.get(place)
        assert (await http.get(place, headers={"If-None-Match": whole.headers["etag"]})).status_code == 304
        assert (await http.get(place, headers={"Range": "bytes=0-1"})).status_code == 206
        assert (await http.get("/documents/doc_none")).status_code == 404
        found = await numbers(http)
        assert (found["uploads_total"], found["uploaded_bytes_total"]) == (3, 2 * 5 + 14)
        assert found["downloads_total"] == 2
        assert (found["documents"], found["blobs"], found["stored_bytes"]) == (3, 2, 5 + 14)
        assert found["artifact_store_bytes"] > 5 + 14
        assert (found["nats_connected"], found["projection_lag"]) == (1, 0)
        assert (await http.delete(place)).status_code == 200
        found = await numbers(http)
        assert (found["documents"], found["blobs"]) == (2, 2)
