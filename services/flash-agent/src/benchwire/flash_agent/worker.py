"""Takes flash jobs off this host's queue: side by side over devices, one after the other on each."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import get_args

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from benchwire.events import codec, flash, queue, tracing
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.catalog import filter_of, ids_of
from benchwire.events.event import Event
from benchwire.events.log import Contended, Log, LogUnavailable, Recorded
from benchwire.events.projection import Projection
from benchwire.flash_agent import commands, job, queries
from benchwire.flash_agent.attempt import Attempt, Broke, Outcome, Stopped, Succeeded, Wishes
from benchwire.flash_agent.errors import FlashError
from benchwire.flash_agent.inventory import Board, Inventory
from benchwire.flash_agent.preparing import Prepared, prepared
from benchwire.flash_agent.reporter import Reporter
from benchwire.flash_agent.tools.worker_protocol import At, EsptoolOrder, Paused, Resumed, Saying, Stage

log = logging.getLogger(__name__)

_EVENTS: Sequence[type[Event]] = get_args(flash.FlashEvent)
_UNREACHABLE = (NatsError, OSError, TimeoutError)
_LOOK_AGAIN_S = 1.0

Decision = Callable[[job.Job], Event | None]


class Held(msgspec.Struct):
    """A job that the queue gave to this agent: the newest delivery of it, and what is wanted of it."""

    request: flash.FlashRequested
    event_id: str | None
    delivery: Msg
    wishes: Wishes
    attempt: Attempt | None = None

    @property
    def names(self) -> commands.Names:
        """What every fact of the job carries."""
        return commands.Names(host=self.request.host, job_id=self.request.job_id, device=self.request.device)


class Worker:
    """``limits_s`` is how long a flash tool may be silent, by stage; ``ack_wait_s`` after how long an agent that was killed is given up."""

    def __init__(
        self, bus: Bus, log_: Log, projection: Projection, inventory: Inventory, host: str, *,
        limits_s: Mapping[Stage, float] | None = None, ack_wait_s: float = queue.ACK_WAIT_S,
    ) -> None:  # fmt: skip
        self._bus = bus
        self._log = log_
        self._projection = projection
        self._blobs = Blobs(bus)
        self._inventory = inventory
        self._host = host
        self._limits_s = limits_s
        self._ack_wait_s = ack_wait_s
        self._held: dict[str, Held] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._settling: asyncio.Queue[Held] = asyncio.Queue()
        self._moved = asyncio.Event()
        self.interrupted: list[str] = []

    async def run(self) -> None:
        """Works until cancelled. Jobs that are not over then go back to the queue; ``interrupted`` says which had begun."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._beating())
                tasks.create_task(self._settling_cancels())
                await self._taking(tasks)
        finally:
            for held in self._held.values():
                with contextlib.suppress(*_UNREACHABLE):
                    await held.delivery.nak()

    # -- the queue

    async def _taking(self, tasks: asyncio.TaskGroup) -> None:
        requests = filter_of(flash.FlashRequested, host=self._host)
        asked = queue.deliveries(self._bus, f"flash-{self._host}", requests, batch=10, ack_wait_s=self._ack_wait_s)
        async with aclosing(asked) as deliveries:
            async for delivery in deliveries:
                await self._take(delivery, tasks)

    async def _take(self, delivery: Msg, tasks: asyncio.TaskGroup) -> None:
        try:
            event = codec.decode(delivery.data, delivery.headers)
        except codec.Malformed as error:
            log.warning("a request that cannot be read is left alone: %s", error)
            await _left_alone(delivery)
            return
        if not isinstance(event, flash.FlashRequested):
            log.warning("a request of a kind that this version does not know is left alone")
            await _left_alone(delivery)
            return
        held = self._held.get(event.job_id)
        if held is not None:  # a beat was lost, and the queue gave it again
            held.delivery = delivery
            return
        held = Held(event, (delivery.headers or {}).get(codec.MSG_ID), delivery, Wishes())
        self._held[event.job_id] = held
        tasks.create_task(self._see_through(held), name=event.job_id)

    async def _beating(self) -> None:
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            for held in list(self._held.values()):
                with contextlib.suppress(*_UNREACHABLE):
                    await held.delivery.in_progress()

    # -- control

    def heard(self, events: Sequence[Recorded]) -> None:
        """What the log says about jobs; for ``Projection.on_commit``."""
        self._moved.set()
        self._moved = asyncio.Event()
        for one in events:
            held = self._held.get(getattr(one.event, "job_id", ""))
            if held is None:
                continue
            match one.event:
                case flash.FlashCancelRequested():
                    held.wishes.ask(cancel=True)
                    self._settling.put_nowait(held)
                case flash.FlashPauseRequested():
                    held.wishes.ask(pause=True)
                case flash.FlashResumeRequested():
                    held.wishes.ask(pause=False)

    async def _settling_cancels(self) -> None:
        """A job that waits for its device need not wait to be cancelled."""
        while True:
            held = await self._settling.get()
            with tracing.within(held.delivery.headers, **ids_of(held.request)):
                await self._decide(held, lambda state, of=held.names: commands.cancel_waiting(state, of, now=_now()))  # type: ignore[misc]

    # -- one job

    async def _see_through(self, held: Held) -> None:
        with tracing.work("handle flash_requested", held.delivery.headers, **ids_of(held.request)):
            await self._seen_through(held)
        await self._finished(held)

    async def _seen_through(self, held: Held) -> None:
        try:
            await self._is_next(held)
            async with self._turns[held.request.device]:
                await self._work(held)
        except asyncio.CancelledError:
            if held.attempt is not None:
                self.interrupted.append(f"{held.request.job_id} (flash {held.attempt.flash_state})")
            raise
        except Exception as error:
            log.exception("%s met a fault of the flash agent itself", held.request.job_id)
            state = held.attempt.flash_state if held.attempt is not None else None
            await self._decide(held, _failing(held.names, FlashError(f"fault of the flash agent: {error!r}"), state))

    async def _is_next(self, held: Held) -> None:
        """Returns when every job that was asked for earlier on the same device is over.

        What a killed agent had comes again only when its time to acknowledge has run out, so a newer request may be here first. Were
        it done first, the board would end up with the older image.
        """
        place, job_id = held.delivery.metadata.sequence.stream, held.request.job_id
        self._settling.put_nowait(held)  # a cancel that came before the request was taken was heard by nobody
        while True:
            moved = self._moved
            known = self._projection.state.applied >= place
            if known and not await self._projection.read(lambda db: queries.has_to_wait(db, job_id)):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await moved.wait()

    async def _finished(self, held: Held) -> None:
        del self._held[held.request.job_id]
        with contextlib.suppress(*_UNREACHABLE):  # then it comes again, and is seen to be over
            await held.delivery.ack()

    async def _work(self, held: Held) -> None:
        of = held.names
        if (await self._decide(held, lambda _: None)).is_over:
            return
        try:
            ready = await prepared(held.request, self._inventory, self._blobs)
        except FlashError as error:
            await self._decide(held, _failing(of, error, None))
            return
        driver = "esptool" if isinstance(ready.order, EsptoolOrder) else "pyocd"
        state = await self._decide(
            held,
            lambda one: commands.start(one, of, driver=driver, total_bytes=len(ready.image), now=_now()),
        )
        if state.is_over:
            return
        if held.wishes.pause is None:  # what came since the start is newer
            held.wishes.ask(pause=state.pause_asked)
        began_s = asyncio.get_running_loop().time()
        with tracing.span("flash", device=of.device):
            outcome = await self._attempted(held, ready)
        duration_s = asyncio.get_running_loop().time() - began_s
        await self._decide(held, _ending(of, outcome, len(ready.image), duration_s))
        held.attempt = None

    async def _attempted(self, held: Held, ready: Prepared) -> Outcome:
        reporter = Reporter(self._log, held.names)

        async def heard(saying: Saying) -> None:
            match saying:
                case At():
                    reporter.heard(saying)
                    if saying.stage == "resetting":  # all of it is told before the board speaks
                        await reporter.told()
                case Paused():
                    await self._decide(held, lambda state: commands.pause(state, held.names, now=_now()))
                case Resumed():
                    await self._decide(held, lambda state: commands.resume(state, held.names, now=_now()))
                case _:
                    pass

        held.attempt = Attempt(
            job_id=held.request.job_id,
            board=ready.board,
            order=ready.order,
            image=ready.image,
            wishes=held.wishes,
            heard=heard,
            limits_s=self._limits_s,
        )
        async with reporter.running():
            outcome = await held.attempt.run()
            if isinstance(outcome, Broke):
                return await self._explained(held, ready.board, outcome)
            await reporter.told()
            return outcome

    async def _explained(self, held: Held, board: Board, broke: Broke) -> Outcome:
        """A tool notices a pulled cable before the next look at the ports does, and calls it by other names."""
        await self._inventory.scan()
        if board.gone.is_set() and held.attempt is not None:
            return held.attempt.gone()
        return broke

    async def _decide(self, held: Held, decide: Decision) -> job.Job:
        """The job after a decision about it. However long the log is away: what happened to a board has to be told."""
        request = held.request
        while True:
            try:
                decided = await self._log.decide(
                    _EVENTS,
                    job.NEW,
                    job.evolve,
                    decide,
                    caused_by=held.event_id,
                    host=request.host,
                    job_id=request.job_id,
                )
            except (LogUnavailable, Contended, *_UNREACHABLE) as error:
                log.warning("%s: the log cannot be written, trying again: %s", request.job_id, error)
                await asyncio.sleep(0.5)
            else:
                return decided.state


async def _left_alone(delivery: Msg) -> None:
    with contextlib.suppress(*_UNREACHABLE):  # then it comes again, and is left alone again
        await delivery.term()


def _failing(of: commands.Names, error: FlashError, flash_state: str | None) -> Decision:
    log.warning("%s: %s", of.job_id, error)
    tracing.failed(str(error))
    return lambda state: commands.fail(
        state, of, code=error.code, error=str(error), flash_state=flash_state, now=_now()
    )


def _ending(of: commands.Names, outcome: Outcome, total_bytes: int, duration_s: float) -> Decision:
    match outcome:
        case Succeeded(verified_by=by):
            return lambda state: commands.complete(
                state, of, total_bytes=total_bytes, duration_s=duration_s, verified_by=by, now=_now()
            )
        case Broke(error=error, flash_state=flash_state):
            return _failing(of, error, flash_state)
        case Stopped(flash_state=flash_state):
            return lambda state: commands.cancel(state, of, flash_state=flash_state, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)
