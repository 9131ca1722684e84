import asyncio
import errno
import hashlib
import os
import shutil
from pathlib import Path

import httpx
import pytest

from benchwire.documents.cache import OFF_S, Cache, Filling
from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server
from benchwire.events.bus import Bus


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def fill(cache: Cache, data: bytes) -> bool:
    filling = await cache.filling(digest_of(data), len(data))
    if filling is None:
        return False
    await filling.add(data)
    await filling.end(complete=True)
    return True


async def held(cache: Cache, data: bytes) -> bool:
    file = await cache.opened(digest_of(data))
    if file is None:
        return False
    with file:
        assert file.read() == data
    return True


async def test_the_least_recently_used_goes_first_also_after_a_restart(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 250)
    await cache.load()
    a, b, c, d = (bytes([n]) * 100 for n in range(4))
    for number, data in enumerate((a, b)):
        assert await fill(cache, data)
        os.utime(tmp_path / "cache" / digest_of(data), (number, number))
    assert await held(cache, a)
    again = Cache(tmp_path / "cache", 250)
    await again.load()
    assert await fill(again, c)
    assert [await held(again, one) for one in (a, b, c)] == [True, False, True]
    assert again.size_bytes == 200
    assert not await fill(again, d * 3)  # more than it may hold at all
    smaller = Cache(tmp_path / "cache", 100)
    await smaller.load()
    assert smaller.size_bytes == 100


async def test_a_file_that_changed_is_dropped_and_what_was_half_written_too(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1000)
    await cache.load()
    assert await fill(cache, b"right")
    file = tmp_path / "cache" / digest_of(b"right")
    file.write_bytes(b"wrong")
    (tmp_path / "cache" / ".filling-x").write_bytes(b"half")
    again = Cache(tmp_path / "cache", 1000)
    await again.load()
    assert not await held(again, b"right")
    assert not file.exists()
    assert list((tmp_path / "cache").iterdir()) == []
    assert await fill(again, b"right")
    assert await held(again, b"right")


async def test_whoever_reads_goes_on_when_the_file_is_dropped(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1000)
    await cache.load()
    assert await fill(cache, b"still there")
    file = await cache.opened(digest_of(b"still there"))
    assert file is not None
    with file:
        await cache.drop(digest_of(b"still there"))
        assert file.read() == b"still there"
    assert not await held(cache, b"still there")


async def test_a_full_disk_turns_it_off_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    cache = Cache(tmp_path / "cache", 1000, clock=lambda: now)
    await cache.load()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Filling, "_write", full)
        assert await fill(cache, b"data")
        assert not cache.is_on
        assert not await held(cache, b"data")
        assert not await fill(cache, b"data")
    now += OFF_S
    assert await fill(cache, b"data")
    shutil.rmtree(tmp_path / "cache")
    assert not await held(cache, b"data")
    assert not await fill(cache, b"data")


async def upload(http: httpx.AsyncClient, data: bytes) -> str:
    made = (await http.post("/documents", files={"file": ("a.bin", data)})).json()
    return f"/documents/{made['id']}"


def client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False)


async def test_what_was_downloaded_once_comes_from_the_disk(nats: nats_server.Server, tmp_path: Path, bus: Bus) -> None:
    data = os.urandom(700_000)
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        path = await upload(http, data)
        answers = await asyncio.gather(*(http.get(path) for _ in range(4)))
        assert all(one.content == data for one in answers)
    cached = tmp_path / "data" / "documents" / "cache" / digest_of(data)
    assert cached.read_bytes() == data
    await bus.js.purge_stream("OBJ_artifacts")
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        assert (await http.get(path)).content == data
        part = await http.get(path, headers={"range": "bytes=600000-600009"})
        assert part.content == data[600_000:600_010]
    cached.write_bytes(data[:-1] + b"?")
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        assert (await http.get(path)).status_code == 404  # the store has it no more, and the cache tells no lies
        await upload(http, data)
        assert (await http.get(path)).content == data
        await http.delete(path)


async def test_without_a_cache_downloads_are_the_same(nats: nats_server.Server, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    async with serving(nats.url, tmp_path / "data", cache_bytes="0") as service, client(service) as http:
        path = await upload(http, data)
        for _ in range(2):
            assert (await http.get(path)).content == data
        assert list((tmp_path / "data" / "documents" / "cache").iterdir()) == []
