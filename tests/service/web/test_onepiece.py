"""How answers are cut: what a client reads at once, and that nothing is held back from one who waits for it."""

import asyncio

from tests.service.web.gated import CALL, HOST, Service

_SPACE_BYTES = 1 << 16


async def test_an_answer_is_read_at_once() -> None:
    async with Service().served() as service:
        line = await service.open()
        for _ in range(20):
            line.writer.write(CALL)
            async with asyncio.timeout(20):
                told = await line.reader.read(_SPACE_BYTES)
            assert told.endswith(b"\r\n\r\nthings "), told


async def test_what_an_answer_begins_with_does_not_wait_for_its_end() -> None:
    async with Service().served() as service:
        line = await service.open(b"GET /quiet HTTP/1.1\r\n" + HOST + b"\r\n")
        async with asyncio.timeout(20):
            told = await line.reader.readuntil(b"begun")
        assert told.startswith(b"HTTP/1.1 200")


async def test_answers_keep_their_order_whatever_they_consist_of() -> None:
    async with Service().served() as service:
        head = b"HEAD /things HTTP/1.1\r\n" + HOST + b"\r\n"
        line = await service.open(head + CALL + head + b"no call at all\r\n\r\n")
        told = await line.rest()
        assert [part[:3] for part in told.split(b"HTTP/1.1 ")[1:]] == [b"200"] * 3, told
        assert told.count(b"things ") == 1
