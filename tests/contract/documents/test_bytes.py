"""The bytes of documents: whole, in part, and harmless for browsers."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.web.testing import refused

Upload = Callable[..., Awaitable[dict[str, Any]]]


async def test_bytes_come_with_everything_a_client_needs(client: httpx.AsyncClient, upload: Upload) -> None:
    made = await upload(client, 'Übersicht "neu".txt', b"0123456789", kind="text/plain")
    answer = await client.get(f"/documents/{made['id']}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == "10"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"] == f'"{made["checksum"]}"'
    served = answer.headers["content-disposition"]
    assert served.startswith("attachment; filename=\"_bersicht _neu_.txt\"; filename*=UTF-8''")
    assert unquote(served.partition("UTF-8''")[2]) == 'Übersicht "neu".txt'


async def test_what_a_browser_would_run_is_only_ever_a_file(client: httpx.AsyncClient, upload: Upload) -> None:
    for name, kind in (("page.html", "text/html"), ("image.svg", "image/svg+xml"), ("x.js", "text/javascript")):
        made = await upload(client, name, b"<script>alert(1)</script>", kind=kind)
        window = [f"/documents/{made['id']}?offset=0"] if "text" in kind else []
        for path in (f"/documents/{made['id']}", f"/artifacts/{made['checksum']}", *window):
            headers = (await client.get(path)).headers
            assert headers["content-disposition"].startswith("attachment")
            assert headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in headers["content-security-policy"]
            assert "'none'" in headers["content-security-policy"]


async def test_what_the_client_has_is_not_sent_again(client: httpx.AsyncClient, upload: Upload) -> None:
    made = await upload(client)
    path = f"/documents/{made['id']}"
    etag = (await client.get(path)).headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        answer = await client.get(path, headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await client.get(path, headers={"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize(
    ("asked", "got", "where"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
async def test_a_range_of_bytes(client: httpx.AsyncClient, asked: str, got: bytes, where: str, upload: Upload) -> None:
    made = await upload(client, data=b"0123456789")
    answer = await client.get(f"/documents/{made['id']}", headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == got
    assert answer.headers["content-range"] == where
    assert answer.headers["content-length"] == str(len(got))


async def test_a_range_that_is_none_or_of_something_else_is_ignored_and_one_outside_is_refused(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    made = await upload(client, data=b"0123456789")
    path = f"/documents/{made['id']}"
    for asked in ("bytes=3-1", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes=-"):
        answer = await client.get(path, headers={"range": asked})
        assert (answer.status_code, answer.content) == (200, b"0123456789"), asked
    answer = await client.get(path, headers={"range": "bytes=0-1", "if-range": '"another"'})
    assert answer.status_code == 200
    answer = await client.get(path, headers={"range": "bytes=0-1", "if-range": f'"{made["checksum"]}"'})
    assert answer.status_code == 206
    for asked in ("bytes=10-", "bytes=-0"):
        answer = await client.get(path, headers={"range": asked})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")
        assert "10 bytes" in answer.json()["detail"]


async def test_a_text_can_be_read_in_part_by_characters(client: httpx.AsyncClient, upload: Upload) -> None:
    text = "äöü€😀" * 60_000  # several pieces of the store, and characters that lie across their seams
    made = await upload(client, "text.md", text.encode(), kind="text/markdown")
    path = f"/documents/{made['id']}"
    windows = [(0, 5), (3, 4), (131_071, 10), (299_998, 50), (400_000, 5), (7, 0)]
    for offset, limit in windows:
        answer = await client.get(path, params={"offset": offset, "limit": limit})
        start, stop = min(offset, len(text)), min(offset + limit, len(text))
        assert answer.status_code == 206
        assert answer.content.decode() == text[start:stop]
        assert answer.headers["x-total-chars"] == str(len(text))
        assert answer.headers["x-char-range"] == f"{start}-{stop}"
        assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    answer = await client.get(path, params={"offset": 299_990})
    assert answer.text == text[299_990:]
    answer = await client.get(path, params={"limit": 2})
    assert answer.text == text[:2]
    refused(await client.get(path, params={"offset": -1}), 400)
    image = await upload(client, "a.bin", b"\0\1", kind="application/octet-stream")
    assert "not text" in refused(await client.get(f"/documents/{image['id']}", params={"offset": 0}), 400)


async def test_any_artifact_is_served_by_its_digest(client: httpx.AsyncClient, bus: Bus) -> None:
    image = bytes(range(256)) * 2000
    artifact = await Blobs(bus).put(image, name="firmware.bin")
    answer = await client.get(f"/artifacts/{artifact.digest}")
    assert answer.content == image
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["etag"] == f'"{artifact.digest}"'
    part = await client.get(f"/artifacts/{artifact.digest.upper()}", headers={"range": "bytes=200000-200009"})
    assert (part.status_code, part.content) == (206, image[200000:200010])
    refused(await client.get("/artifacts/" + "0" * 64), 404)
    for name in ("abc", "g" * 64, "0" * 65):
        assert "SHA-256" in refused(await client.get(f"/artifacts/{name}"), 400)


async def test_the_page_of_the_lab_may_call_and_pages_elsewhere_may_show_a_document(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    made = await upload(client)
    answer = await client.get(f"/documents/{made['id']}", headers={"origin": "http://127.0.0.1:8765"})
    assert answer.headers["access-control-allow-origin"] == "http://127.0.0.1:8765"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"] == "private, no-cache"
    head = await client.head(f"/documents/{made['id']}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == answer.headers["etag"]
    assert head.headers["content-length"] == answer.headers["content-length"]
