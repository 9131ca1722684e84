import asyncio
import json
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from benchwire.events.testing.eventually import eventually
from benchwire.web.feed import Client, Feed, _gathers, is_ping
from benchwire.web.outbox import Gathered, item
from benchwire.web.outlet import OUTLET
from benchwire.web.sockets import TRY_AGAIN_LATER


class Wire:
    """The sending side of a WebSocket, down to frames; without ``takes`` it takes nothing."""

    def __init__(self) -> None:
        self.scope = {"extensions": {OUTLET: self}}
        self.sent: list[str] = []
        self.writes = 0
        self.closed: int | None = None
        self.takes = asyncio.Event()
        self.takes.set()

    async def write(self, frames: bytes) -> None:
        await self.takes.wait()
        self.writes += 1
        peer = ClientProtocol(parse_uri("ws://127.0.0.1"), state=State.OPEN)
        peer.receive_data(frames)
        for frame in peer.events_received():
            assert isinstance(frame, Frame)
            self.sent.append(bytes(frame.data).decode())

    async def close(self, code: int, reason: str) -> None:
        await self.takes.wait()
        self.closed = code


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def wire() -> Wire:
    return Wire()


def client_of(wire: Any, limit_bytes: int = 1000) -> Client:
    return Client(wire, limit_bytes=limit_bytes)


async def sending(client: Client) -> asyncio.Task[None]:
    task = asyncio.create_task(client.send_all())
    await settle()
    return task


async def test_nothing_is_sent_before_the_first_frames_are_there(wire: Wire) -> None:
    client = client_of(wire)
    task = await sending(client)
    client.put("early", 5)
    await settle()
    assert wire.sent == []
    client.open(["init"], after=4)
    await settle()
    assert wire.sent == ["init", "early"]
    task.cancel()


async def test_what_a_snapshot_tells_is_not_told_again_whether_it_comes_before_or_after_it(wire: Wire) -> None:
    client = client_of(wire)
    client.put("in the snapshot", 7)
    client.put("sample")
    client.open(["init"], after=7)
    client.put("in the snapshot too", 7)
    client.put("new", 8)
    client.put("second frame of the same event", 8)
    task = await sending(client)
    assert wire.sent == ["init", "sample", "new", "second frame of the same event"]
    task.cancel()


async def test_a_slow_client_is_closed_with_1013_once_it_takes_something_again(wire: Wire) -> None:
    client = client_of(wire)
    wire.takes.clear()
    client.open(["x" * 5000])  # what was asked for does not count
    task = await sending(client)
    for number in range(11):
        client.put("y" * 100, number + 1)
    assert client.too_slow
    wire.takes.set()
    await task
    assert (len(wire.sent), wire.closed) == (1, TRY_AGAIN_LATER)


async def test_what_is_published_to_many_is_gathered_and_written_at_once(wire: Wire) -> None:
    feed = Feed()
    client = client_of(wire, limit_bytes=1 << 20)
    client.open()
    task = await sending(client)
    with feed._listening("t", client):
        for number in range(50):
            feed.publish("t", f"frame {number}", number + 1)
        await eventually(lambda: len(wire.sent) == 50)
    assert wire.sent == [f"frame {number}" for number in range(50)]
    assert wire.writes == 1
    task.cancel()


async def test_what_was_sent_no_longer_counts(wire: Wire) -> None:
    client = client_of(wire)
    client.open()
    task = await sending(client)
    for number in range(100):
        client.put("ü" * 400, number + 1)
        await settle()
    assert len(wire.sent) == 100
    client.put("ü" * 501, 101)  # 1002 bytes
    await task
    assert client.too_slow


async def test_when_frames_cannot_be_made_as_fast_everybody_is_told_to_come_again(wire: Wire) -> None:
    feed = Feed()
    client = client_of(wire)
    with feed._listening("t", client), feed.heard("u") as listener:
        client.open()
        listener.open(["init"])
        task = await sending(client)
        feed.give_up()
        async with asyncio.timeout(10):
            await task
        assert (wire.sent, wire.closed) == ([], TRY_AGAIN_LATER)
        assert [frame async for frame in listener.frames()] == []
    assert feed.dropped == 2


def test_a_topic_is_there_only_while_somebody_listens() -> None:
    feed = Feed()
    assert not feed.has("t")
    feed.publish("t", "nobody hears")
    assert not feed.has("t")
    assert feed.clients == 0


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ('{"type":"ping"}', True),
        ('{"type": "PING", "n": 1}', True),
        ('{"type":"pong"}', False),
        ("ping", False),
        ("", False),
        ("[]", False),
        ('{"type":1}', False),
        ("\ud800", False),
        ('{"type":"ping","x":"' + "x" * 300 + '"}', False),
    ],
)
def test_a_ping_is_known(text: str, *, is_one: bool) -> None:
    assert is_ping(text) is is_one


async def test_frames_and_those_who_were_too_slow_are_counted_also_after_they_left(wire: Wire) -> None:
    feed = Feed(outbox_bytes=100)
    client = client_of(wire, limit_bytes=100)
    with feed._listening("task t-1", client), feed.heard("session s-1"), feed.heard("session s-2"):
        client.open(["init"])
        task = await sending(client)
        feed.publish("task t-1", "one")
        await eventually(lambda: feed.sent == 2)
        assert feed.listeners() == {"task": 1, "session": 2}
        wire.takes.clear()
        for _ in range(3):
            feed.publish("task t-1", "x" * 60)
        await eventually(lambda: client.too_slow)
        wire.takes.set()
        await task
    assert (feed.sent, feed.dropped, feed.clients) == (2, 1, 0)


class Asked:
    """What a socket was asked with."""

    def __init__(self, **query: str) -> None:
        self.query_params = query


async def gathering(wire: Wire, limit_bytes: int = 1 << 20) -> tuple[Client, asyncio.Task[None]]:
    client = Client(wire, limit_bytes=limit_bytes, gathers=True)  # type: ignore[arg-type]
    return client, await sending(client)


def told(wire: Wire) -> list[list[Any]]:
    return [json.loads(text) for text in wire.sent]


async def test_who_asks_for_arrays_gets_what_others_get_one_by_one_also_the_first_and_what_stands_alone(
    wire: Wire,
) -> None:
    feed, other = Feed(), Wire()
    client, task = await gathering(wire)
    single = client_of(other, limit_bytes=1 << 20)
    second = await sending(single)
    with feed._listening("t", client), feed._listening("t", single):
        for one in (client, single):
            one.open(['{"type":"init"}'], after=2)
        await settle()
        for number in range(1, 6):
            feed.publish("t", f'{{"seq":{number}}}', number)
        await eventually(lambda: len(other.sent) == 4)
        client.put('{"type":"pong"}')
        await eventually(lambda: len(told(wire)) == 3)
    assert told(wire) == [[{"type": "init"}], [{"seq": 3}, {"seq": 4}, {"seq": 5}], [{"type": "pong"}]]
    assert other.sent == ['{"type":"init"}', '{"seq":3}', '{"seq":4}', '{"seq":5}']
    task.cancel()
    second.cancel()


async def test_an_array_is_made_once_for_all_who_are_told_all_of_it(wire: Wire) -> None:
    gathered = Gathered()
    gathered.items += [item('{"seq":4}', 4), item('{"seq":5}', 5)]
    clients = [Client(wire, limit_bytes=1000, gathers=True) for _ in range(3)]  # type: ignore[arg-type]
    for client, after in zip(clients, (0, 3, 4), strict=True):
        client.open(after=after)
        client.hear(gathered)
    assert [list(client._outbox) for client in clients[:2]] == [gathered.arrays, gathered.arrays]
    assert [one.text.text for one in clients[2]._outbox] == ['{"seq":5}']


async def test_arrays_are_no_larger_than_any_client_takes_unless_one_object_is(wire: Wire) -> None:
    client, task = await gathering(wire, limit_bytes=8 << 20)
    texts = ['"' + "ü" * 50_000 + '"'] * 7 + ['"' + "x" * 400_000 + '"', '"end"']
    client.open(texts)
    await eventually(lambda: sum(len(one) for one in told(wire)) == len(texts))
    assert [len(one) for one in told(wire)] == [2, 2, 2, 1, 1, 1]
    task.cancel()


def test_the_size_of_an_array_is_that_of_the_whole_frame() -> None:
    gathered = Gathered()
    gathered.items += [item('"xx"', number) for number in range(100_000)]
    sizes = [one.text.size_bytes for one in gathered.arrays]
    assert max(sizes) <= 256 << 10
    assert sum(sizes) == 5 * 100_000 + len(sizes)


async def test_a_slow_client_of_arrays_is_dropped_like_any_other_and_what_was_sent_no_longer_counts(wire: Wire) -> None:
    feed = Feed()
    client, task = await gathering(wire, limit_bytes=1000)
    client.open()
    with feed._listening("t", client):
        for number in range(20):
            feed.publish("t", '"' + "y" * 400 + '"', number + 1)
            await eventually(lambda at=number: len(wire.sent) == at + 1)  # type: ignore[misc]
        wire.takes.clear()
        for number in range(200, 204):
            feed.publish("t", '"' + "y" * 400 + '"', number)
        await eventually(lambda: client.too_slow)
        wire.takes.set()
        await task
    assert wire.closed == TRY_AGAIN_LATER


@pytest.mark.parametrize(
    ("query", "expected"), [({"batch": "1"}, True), ({"batch": "true"}, True), ({"batch": "0"}, False), ({}, False)]
)
def test_arrays_are_only_for_who_asks(query: dict[str, str], expected: bool) -> None:
    assert _gathers(Asked(**query)) is expected  # type: ignore[arg-type]
