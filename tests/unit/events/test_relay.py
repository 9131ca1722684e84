"""What one reader of the log hands on is, for whoever follows him, the same as a reading of his own."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from benchwire.events import relay as room
from benchwire.events.follow import Batch, Message
from benchwire.events.relay import Relay
from benchwire.events.testing.eventually import eventually

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
OURS = ["bench.session.*.*"]


def message(sequence: int, subject: str = "bench.session.s1.message", body: bytes = b"{}") -> Message:
    return Message(sequence, subject, NOW, None, body)


class Stream:
    """A stream of messages, of which anybody may have a reading of his own; ``readings`` counts those that are open."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.readings = 0
        self.begun: list[int] = []

    async def read(self, after: int) -> AsyncGenerator[Batch, None]:
        self.readings += 1
        self.begun.append(after)
        try:
            yield Batch([], 0)
            while True:
                if found := [
                    one for one in self.messages if one.sequence > after and one.subject.startswith("bench.session.")
                ]:
                    after = found[0].sequence
                    yield Batch(found[:1], len(found) - 1)
                await asyncio.sleep(0)
        finally:
            self.readings -= 1


class Following:
    """One who follows ``relay`` beside ``stream``; ``seen`` are the sequences that he was given."""

    def __init__(self, relay: Relay, stream: Stream, after: int = 0, batch: int = 100) -> None:
        self.seen: list[int] = []
        self.pending: list[int] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self._batches: Callable[[], AsyncGenerator[Batch, None]] = lambda: relay.follow(
            OURS, after=after, batch=batch, read=stream.read
        )

    async def run(self) -> None:
        async with aclosing(self._batches()) as batches:
            async for one in batches:
                self.seen += [each.sequence for each in one.messages]
                self.pending.append(one.pending)
                await self.may_go.wait()


@contextlib.asynccontextmanager
async def running(following: Following) -> AsyncGenerator[None, None]:
    task = asyncio.create_task(following.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def told(stream: Stream, relay: Relay, *messages: Message) -> None:
    stream.messages += messages
    relay.hand_on(Batch(list(messages), 0))


async def test_who_has_caught_up_reads_no_more_by_himself() -> None:
    stream, relay = Stream(), Relay()
    stream.messages = [message(1), message(2)]
    following = Following(relay, stream)
    async with running(following):
        await eventually(lambda: following.seen == [1, 2])
        told(stream, relay, message(5))
        await eventually(lambda: following.seen == [1, 2, 5])
        await eventually(lambda: stream.readings == 0)
        told(stream, relay, message(6), message(9))
        await eventually(lambda: following.seen == [1, 2, 5, 6, 9])
    assert stream.begun == [0]


async def test_what_was_read_before_anybody_followed_is_not_missed() -> None:
    """His own reading goes on until it has come to what is handed on."""
    stream, relay = Stream(), Relay()
    told(stream, relay, *(message(number) for number in range(1, 50)))
    following = Following(relay, stream, after=10)
    async with running(following):
        await asyncio.sleep(0)
        told(stream, relay, message(50))
        await eventually(lambda: following.seen == list(range(11, 51)))
        await eventually(lambda: stream.readings == 0)


async def test_what_is_on_other_subjects_is_left_out() -> None:
    stream, relay = Stream(), Relay()
    following = Following(relay, stream)
    async with running(following):
        await asyncio.sleep(0)
        told(stream, relay, message(1), message(2, "bench.flash.h.j.started"), message(3, "bench.session.s1"))
        told(stream, relay, message(4, "bench.session.s1.ended"), message(5, "bench.session.s1.a.b"))
        await eventually(lambda: following.seen == [1, 4])
        await eventually(lambda: stream.readings == 0)
        told(stream, relay, message(6, "bench.host.h.started"), message(7))
        await eventually(lambda: following.seen == [1, 4, 7])


async def test_who_falls_too_far_behind_reads_by_himself_until_he_has_caught_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "_MOST_BYTES", 5_000)
    stream, relay = Stream(), Relay()
    following = Following(relay, stream)
    async with running(following):
        await asyncio.sleep(0)
        told(stream, relay, message(1))
        await eventually(lambda: stream.readings == 0 and following.seen == [1])
        following.may_go.clear()
        for number in range(2, 40):
            told(stream, relay, message(number, body=b"x" * 500))
        following.may_go.set()
        await eventually(lambda: following.seen == list(range(1, 40)))
        assert len(stream.begun) == 2
        told(stream, relay, message(40))
        await eventually(lambda: following.seen == list(range(1, 41)))
        await eventually(lambda: stream.readings == 0)


async def test_no_more_come_at_a_time_than_are_wanted_and_the_rest_is_counted() -> None:
    stream, relay = Stream(), Relay()
    following = Following(relay, stream, batch=4)
    async with running(following):
        await asyncio.sleep(0)
        told(stream, relay, message(1))
        await eventually(lambda: stream.readings == 0 and following.seen == [1])
        told(stream, relay, *(message(number) for number in range(2, 12)))
        await eventually(lambda: following.seen == list(range(1, 12)))
    assert following.pending[-3:] == [6, 2, 0]


async def test_nothing_is_kept_for_who_has_left() -> None:
    stream, relay = Stream(), Relay()
    following = Following(relay, stream)
    async with running(following):
        await eventually(lambda: relay._kept)
    assert not relay._kept
    assert stream.readings == 0
