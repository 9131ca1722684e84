"""Who is slow to send or to take, and what is kept for those."""

import asyncio
import contextlib
import itertools
import socket

from tests.service.web.gated import CALL, CHUNKED, ELSEWHERE, HOST, WEBSOCKET, Line, Service, posted

from benchwire.events.testing.eventually import eventually


async def test_who_is_slow_with_the_head_is_told_and_ended(quick: Service) -> None:
    for line in [await quick.open(begin) for begin in (b"G", CALL[:-2], CALL[:-2] + b"X: ", WEBSOCKET)]:
        assert (await line.answer())[0] == 408
        assert await line.rest() == b""
    assert quick.gate.refusals["slow_head"] == 4


async def test_a_byte_now_and_then_changes_nothing(quick: Service) -> None:
    async def dripped(line: Line) -> None:
        with contextlib.suppress(ConnectionError):
            for byte in itertools.cycle(b"x"):
                line.writer.write(bytes([byte]))
                await line.writer.drain()
                await asyncio.sleep(0.02)

    line = await quick.open(CALL[:-2] + b"X: ")
    dripping = asyncio.create_task(dripped(line))
    assert (await line.answer())[0] == 408
    dripping.cancel()


async def test_who_says_nothing_is_ended_without_a_word(quick: Service) -> None:
    for line in [await quick.open(begin) for begin in (b"", b"\r\n\r\n")]:
        assert await line.rest() == b""
    kept = await quick.open(CALL)
    assert (await kept.answer())[0] == 200
    assert await kept.rest() == b""


async def test_a_body_that_comes_too_slowly_is_ended_and_one_that_is_quick_enough_is_not(quick: Service) -> None:
    slow = await quick.open(posted(b"Content-Length: 100000", body=b"abc"))
    steady = await quick.open(posted(b"Content-Length: 60000", body=b""))

    async def sent() -> None:
        for _ in range(30):
            steady.writer.write(b"x" * 2000)
            await asyncio.sleep(0.05)

    sending = asyncio.create_task(sent())
    assert (await slow.answer())[0] == 408
    assert await slow.rest() == b""
    assert await steady.answer() == (200, "60000 bytes")
    await sending
    assert quick.gate.refusals["slow_body"] == 1


async def test_a_body_that_stops_in_the_middle_is_ended_however_much_of_it_has_come(quick: Service) -> None:
    line = await quick.open(posted(b"Content-Length: 4000001", body=b"x" * 4_000_000))
    assert (await line.answer())[0] == 408


async def test_a_body_that_waits_for_the_service_is_not_called_slow(quick: Service) -> None:
    line = await quick.open(posted(b"Content-Length: 400000", body=b"x" * 400_000).replace(b"/bodies", b"/late"))
    slow = await quick.open(posted(b"Content-Length: 100000", body=b"abc"))
    assert (await slow.answer())[0] == 408  # so much time has passed
    quick.app.state.may_read.set()
    assert await line.answer() == (200, "400000 bytes")


async def test_nothing_is_answered_twice(service: Service) -> None:
    line = await service.open(posted(CHUNKED, body=b"1\r\na\r\n").replace(b"/bodies", b"/nothing"))
    assert (await line.answer())[0] == 404
    line.writer.write(b"no chunk\r\n")
    assert await line.rest() == b""


async def test_a_body_that_nobody_wants_is_not_taken_for_ever(quick: Service) -> None:
    line = await quick.open(posted(b"Content-Length: 100000000", body=b"").replace(b"/bodies", b"/nothing"))
    assert (await line.answer())[0] == 404
    await line.send_until_cut_off(b"x" * 1000)
    assert quick.gate.refusals["body_unwanted"] == 1


async def test_who_takes_an_answer_too_slowly_is_cut_off_and_one_that_is_quiet_is_not(quick: Service) -> None:
    quiet = await quick.open(b"GET /quiet HTTP/1.1\r\n" + HOST + b"\r\n")
    assert b"begun" in await quiet.reader.readuntil(b"begun")
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.setblocking(False)  # noqa: FBT003
    with lazy:
        await asyncio.get_running_loop().sock_connect(lazy, ("127.0.0.1", quick.port))
        await asyncio.get_running_loop().sock_sendall(lazy, b"GET /much HTTP/1.1\r\n" + HOST + b"\r\n")
        await eventually(lambda: quick.gate.refusals["slow_to_take"] == 1, within_s=20)
    swift = await quick.open(b"GET /much HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert len(await swift.rest()) > 1000 * 65536
    assert not quiet.reader.at_eof()


# What is kept for them


async def test_bodies_that_are_sent_and_never_finished_keep_others_from_being_read_only_at_their_own_address() -> None:
    async with Service(bodies_limit_bytes=4_100_000).served() as service:
        unfinished = [await service.open(posted(b"Content-Length: 1000001", body=b"x" * 1_000_000)) for _ in range(2)]
        large = posted(b"Content-Length: 1000000", body=b"x" * 1_000_000)
        assert await service.told(large, ELSEWHERE) == (200, "1000000 bytes")
        waiting = await service.open(large)
        assert await service.told(posted(b"Content-Length: 60000", body=b"x" * 60_000)) == (200, "60000 bytes")
        unfinished[0].writer.close()
        assert await waiting.answer() == (200, "1000000 bytes")


async def test_answers_that_nobody_takes_fill_no_memory() -> None:
    async with Service(unread_limit_bytes=8 << 20).served() as service:
        calm = await service.open(b"GET /quiet HTTP/1.1\r\n" + HOST + b"\r\n", ELSEWHERE)
        for _ in range(4):
            lazy = await service.open(source="127.0.0.3")
            lazy.writer.transport.pause_reading()  # type: ignore[attr-defined]
            lazy.writer.write(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        await eventually(lambda: service.gate.refusals["unread"] > 0, within_s=20)
        await eventually(lambda: service.gate.waiting_bytes <= 8 << 20, within_s=20)
        assert b"begun" in await calm.reader.readuntil(b"begun")
        assert await service.is_well()
