"""Serving, and its end."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from litestar import get
from litestar.response import Stream

from benchwire.web.app import made
from benchwire.web.serve import serve
from benchwire.web.testing import running


@get("/")
async def endless() -> Stream:
    """Answers, and never comes to the end of it."""

    async def said() -> AsyncGenerator[str, None]:
        yield "and so on"
        await asyncio.Event().wait()

    return Stream(said())


async def test_a_stream_without_end_is_cut_off_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async with running(
        lambda ready: serve(made("endless", [endless]), host="127.0.0.1", port=0, on_ready=ready)
    ) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"and so on")
    writer.close()
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []
