"""What happens in the lab, as it happens: facts from the log in their order, samples as they fly by."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

import msgspec
from nats.aio.msg import Msg

from benchwire.events import cancels, codec
from benchwire.events.bus import STREAM, Bus
from benchwire.events.event import Event
from benchwire.events.follow import follow

_FACTS, _SAMPLES = "bench", "live"


class IllegalSubject(ValueError):
    """A subject that nothing in the lab travels on."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One message. ``event`` is absent when its ``body`` cannot be read, and then ``trouble`` says why; a sample has no ``sequence``."""

    subject: str
    at: datetime
    body: bytes
    event: Event | None
    trouble: str = ""
    sequence: int | None = None


def checked(subject: str) -> str:
    """``subject``, when it can be listened to. Raises ``IllegalSubject``."""
    tokens = subject.split(".")
    if not all(tokens) or any(c.isspace() for c in subject) or ">" in tokens[:-1]:
        raise IllegalSubject(f"{subject!r} is no subject; try 'bench.>', 'bench.task.>' or 'live.serial.>'")
    if tokens[0] not in (_FACTS, _SAMPLES, "*", ">"):
        raise IllegalSubject(f"nothing travels on {subject!r}: facts are under 'bench.>', samples under 'live.>'")
    return subject


def matches(filter_: str, subject: str) -> bool:
    """Whether ``subject`` falls under ``filter_``, as NATS sees it."""
    wanted, tokens = filter_.split("."), subject.split(".")
    for place, one in enumerate(wanted):
        if one == ">":
            return len(tokens) > place
        if place >= len(tokens) or one not in ("*", tokens[place]):
            return False
    return len(tokens) == len(wanted)


def fact_filter(subjects: Sequence[str]) -> str | None:
    """One filter over the facts in ``subjects``; None when there are none.

    The server refuses a consumer whose filters overlap, so that several become the one over all facts, sorted out on arrival.
    """
    facts = [one for one in subjects if one.split(".", 1)[0] != _SAMPLES]
    if not facts:
        return None
    return facts[0] if len(facts) == 1 and facts[0].startswith(f"{_FACTS}.") else f"{_FACTS}.>"


def has_samples(subjects: Sequence[str]) -> bool:
    """Whether samples are among ``subjects``."""
    return any(one.split(".", 1)[0] != _FACTS for one in subjects)


async def newest(bus: Bus) -> int:
    """The sequence of the newest fact. Raises nats's errors when the log does not answer."""
    return int((await bus.js.stream_info(STREAM)).state.last_seq)


class Feed:
    """What was heard and not yet taken, oldest first."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Heard | Exception] = asyncio.Queue()

    def put(self, one: Heard | Exception) -> None:
        """Hands on a message, or why no more will come."""
        self._waiting.put_nowait(one)

    async def next(self) -> Heard:
        """The next message, as soon as there is one. Raises what ended the listening."""
        one = await self._waiting.get()
        if isinstance(one, Exception):
            raise one
        return one


@contextlib.asynccontextmanager
async def listening(bus: Bus, subjects: Sequence[str], *, after: int) -> AsyncGenerator[Feed, None]:
    """All that comes on ``subjects`` while the context is open: facts above sequence ``after``, and samples from now on."""
    feed = Feed()

    async def sample(message: Msg) -> None:
        if _wanted(subjects, message.subject):
            feed.put(heard(message.subject, message.data, message.headers, datetime.now(UTC)))

    async with contextlib.AsyncExitStack() as stack:
        if has_samples(subjects):
            subscription = await bus.nc.subscribe(f"{_SAMPLES}.>", cb=sample)
            stack.push_async_callback(subscription.unsubscribe)
            await bus.nc.flush()
        filter_ = fact_filter(subjects)
        if filter_ is not None:
            following = asyncio.create_task(_facts(bus, filter_, subjects, after, feed))
            stack.push_async_callback(cancels.until_over, [following])
        yield feed


async def _facts(bus: Bus, filter_: str, subjects: Sequence[str], after: int, feed: Feed) -> None:
    try:
        async with contextlib.aclosing(follow(bus, [filter_], after=after)) as batches:
            async for batch in batches:
                for one in batch.messages:
                    if _wanted(subjects, one.subject):
                        feed.put(heard(one.subject, one.body, one.headers, one.received_at, one.sequence))
    except Exception as error:  # noqa: BLE001 - raised where the messages are taken
        feed.put(error)


def _wanted(subjects: Sequence[str], subject: str) -> bool:
    return any(matches(one, subject) for one in subjects)


def heard(
    subject: str, body: bytes, headers: dict[str, str] | None, received_at: datetime, sequence: int | None = None
) -> Heard:
    """A message as it came, and the event in it if it can be read."""
    try:
        event = codec.decode(body, headers, subject)
    except codec.Malformed as error:
        return Heard(
            subject=subject, at=received_at, body=body, event=None, trouble=f"malformed, {error}", sequence=sequence
        )
    if isinstance(event, codec.Unknown):
        trouble = f"unknown, {event.tag} version {event.version}"
        return Heard(subject=subject, at=received_at, body=body, event=None, trouble=trouble, sequence=sequence)
    return Heard(subject=subject, at=event.timestamp, body=body, event=event, sequence=sequence)
