"""Connections by the hundred, and WebSockets that never stop."""

import asyncio

import pytest
from tests.service.web.gated import CALL, ELSEWHERE, WEBSOCKET, Line, Service, frame
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchwire.events.testing.eventually import eventually
from benchwire.web.metrics import Metrics, of_gate

TEXT, CONTINUED, PING = 1, 0, 9


async def test_one_address_has_so_many_connections_and_others_are_served_meanwhile() -> None:
    async with Service(connections=8, connections_per_peer=5).served() as service:
        lines = [await service.open(CALL) for _ in range(5)]
        for line in lines:
            assert (await line.answer())[0] == 200
        refused = await service.open(CALL)
        status, sentence = await refused.answer()
        assert (status, "5 connections" in sentence) == (429, True)
        assert await refused.rest() == b""
        assert await service.is_well(ELSEWHERE)

        others = [await service.open(CALL, f"127.0.0.{number}") for number in (3, 4, 5)]
        for line in others:
            assert (await line.answer())[0] == 200
        assert (await service.told(CALL, "127.0.0.6"))[0] == 503

        for line in (refused, *lines, *others):
            line.writer.close()
        await eventually(lambda: not service.gate.connections(), within_s=20)
        assert await service.is_well("127.0.0.1")
        assert service.gate.refusals == {"connections_of_peer": 1, "connections": 1}


async def test_who_is_one_too_many_and_says_nothing_is_counted_too() -> None:
    async with Service(connections_per_peer=1).served() as service:
        first = await service.open(CALL)
        assert (await first.answer())[0] == 200
        silent = await service.open()
        assert await silent.rest() == b""
        assert service.gate.refusals == {"connections_of_peer": 1}


async def test_websockets_are_connections_too_and_a_flood_of_them_is_counted() -> None:
    async with Service(connections_per_peer=5).served() as service:
        metrics = Metrics("test", version="0")
        of_gate(metrics, service.gate)
        lines = [await service.open(WEBSOCKET + b"\r\n") for _ in range(300)]
        heads = [(await asyncio.gather(line.reader.read(100), return_exceptions=True))[0] for line in lines]
        assert sum(isinstance(head, bytes) and b" 101 " in head for head in heads) == 5
        assert await service.is_well()
        text = (await metrics.text()).decode()
        assert 'benchwire_test_turned_away_total{reason="connections_of_peer"} 295.0' in text
        assert 'benchwire_test_connections{kind="websocket"} 5.0' in text
        for line in lines:
            line.writer.close()
        await eventually(lambda: not service.gate.connections(), within_s=20)


async def opened(service: Service, source: str = "127.0.0.1") -> Line:
    line = await service.open(WEBSOCKET + b"\r\n", source)
    assert b" 101 " in await line.reader.readuntil(b"hello")
    return line


async def test_a_message_of_more_than_a_mebibyte_is_1009(service: Service) -> None:
    async with connect(f"ws://127.0.0.1:{service.port}/ws", proxy=None) as client:
        assert await client.recv() == "hello"
        await client.send("x" * (1 << 20))
        sending = asyncio.create_task(client.send("x" * ((1 << 20) + 1)))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        await asyncio.gather(sending, return_exceptions=True)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    parts = await opened(service)
    parts.writer.write(frame(TEXT, b"x" * 100, last=False))
    assert await parts.send_until_cut_off(frame(CONTINUED, b"x" * 100, last=False) * 50) < 20 << 20
    assert await service.is_well()


async def test_a_message_of_empty_parts_without_end_is_1008(service: Service) -> None:
    line = await opened(service)
    line.writer.write(frame(TEXT, b"x", last=False) + frame(CONTINUED, last=False) * 2000)
    assert b"1024 parts" in await line.rest()
    assert service.gate.refusals["socket_parts"] == 1


async def test_a_flood_of_messages_is_slowed_down_and_nobody_else_is() -> None:
    async with Service(socket_messages_per_s=50).served() as service:
        lines = [await opened(service) for _ in range(4)]
        for line in lines:
            line.writer.write(frame(TEXT, b"x") * 100_000)
        began = service.app.state.calls
        for _ in range(20):
            assert await service.is_well()
        await eventually(lambda: service.gate.refusals["socket_messages"] > 4, within_s=20)
        assert service.app.state.calls - began < 100_000
        line = await opened(service, ELSEWHERE)
        line.writer.write(frame(TEXT, b'{"type": "ping"}'))
        async with asyncio.timeout(20):
            await line.reader.readuntil(b"pong")


async def test_all_of_what_was_slowed_down_arrives_in_the_end() -> None:
    async with Service(socket_messages_per_s=2000).served() as service:
        line = await opened(service)
        line.writer.write(frame(TEXT, b"x") * 3000)
        await eventually(lambda: service.app.state.calls == 3000, within_s=20)
        line.writer.write(frame(TEXT, b'{"type": "ping"}'))
        async with asyncio.timeout(20):
            await line.reader.readuntil(b"pong")


async def test_pings_of_who_takes_no_pongs_fill_no_memory() -> None:
    async with Service(socket_messages_per_s=0).served() as service:
        line = await opened(service)
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]
        flood = frame(PING, b"x" * 125) * 1000
        for _ in range(40):
            line.writer.write(flood)
            await line.writer.drain()
        assert await service.is_well()
        assert service.gate.waiting_bytes < 1 << 20
        line.writer.close()
