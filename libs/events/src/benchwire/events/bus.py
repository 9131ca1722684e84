"""The connection to NATS: made with the streams that every service counts on, and what is asked and answered over it."""

import asyncio
import contextlib
import logging
import random
import re
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import msgspec
import nats
import nats.micro
import stamina
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.errors import APIError, ServiceUnavailableError
from nats.micro.request import Request
from opentelemetry.trace import SpanKind

from benchwire.events import cancels, identity, redaction, streams, tracing
from benchwire.events.acks import Acks
from benchwire.events.asks import Refused, replies_of
from benchwire.events.connection import Connection
from benchwire.events.pulse import Pulse
from benchwire.events.redaction import Door
from benchwire.events.settings import NatsSettings
from benchwire.events.streams import (
    ARTIFACTS,
    LIVE,
    PRESENCE,
    PRESENCE_BEAT_S,
    PRESENCE_TTL_S,
    RESTORING,
    STREAM,
    BeingRestored,
)

log = logging.getLogger(__name__)

# What is tried again is told in our own words. By default the first retry imports prometheus_client, on the event loop, and counts in its
# global registry.
stamina.instrumentation.set_on_retry_hooks([])

_NOT_CLUSTERED = 10074  # nats-server's JSStreamReplicasNotSupportedErr

_DENIED = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]+)\"", re.IGNORECASE)
_NO_RESPONDERS = "503"
_FLUSH_S = 2.0
_MOST_REMEMBERED = 1000  # subjects: whoever is refused may try one after the other

Answer = TypeVar("Answer")


class NatsUnreachable(Exception):
    """No NATS server answered in time, or the one that did is of no use; the sentence says why."""


class NotAllowed(Exception):
    """The server does not let this user do what every service has to."""


class Stranger(Exception):
    """The server does not know this user."""


class Bus:
    """One connection. ``reconnects`` counts how often it came back; ``on_reconnect`` is for whoever then has to ask for something anew.

    ``denied`` counts what the server refused to this user; the last of these subjects, in lower case, is ``denied_last``.
    """

    def __init__(self, name: str, settings: NatsSettings, door: Door | None = None) -> None:
        """``door`` takes secrets out of what is published; without one, those that are known by their form."""
        self.name = name
        self.door = door or Door()
        self.nc = Connection()
        self.js: JetStreamContext = self.nc.jetstream(timeout=5.0)
        self.acks = Acks(self.nc)
        self.settings = settings
        self._on_reconnect: set[Callable[[], None]] = set()
        self._denied: set[str] = set()
        self.reconnects = 0
        self.pulse = Pulse(beat_s=PRESENCE_BEAT_S, forgotten_s=PRESENCE_TTL_S)
        self.denied = 0
        self.denied_last: str | None = None

    @property
    def connected(self) -> bool:
        """Whether the server can be reached at this moment."""
        return self.nc.is_connected

    async def answers(self, *, within_s: float = 2.0) -> bool:
        """Whether JetStream answers now: a server that is frozen, or has lost its leader, looks connected for quite a while."""
        if not self.connected:
            return False
        try:
            async with asyncio.timeout(within_s):
                await self.js.stream_info(STREAM)
        except (NatsError, OSError, TimeoutError):
            return False
        return True

    @contextlib.contextmanager
    def on_reconnect(self, call: Callable[[], None]) -> Any:
        """Calls ``call`` each time the connection comes back, until the context is left."""
        self._on_reconnect.add(call)
        try:
            yield
        finally:
            self._on_reconnect.discard(call)

    async def reconnected(self) -> None:
        """Tells whoever waits that the connection is back."""
        self.reconnects += 1
        url = self.nc.connected_url  # not as it is: it may have a password in it
        log.info("%s: connected to NATS again, at %s:%s", self.name, url and url.hostname, url and url.port)
        for call in tuple(self._on_reconnect):
            call()

    def refused(self, problem: Exception) -> None:
        """Counts what the server says that this user may not do; each subject is logged once."""
        found = _DENIED.search(str(problem))
        if found is None:
            return
        self.denied += 1
        what, subject = found.groups()
        self.denied_last = subject
        if subject not in self._denied and len(self._denied) < _MOST_REMEMBERED:
            self._denied.add(subject)
            verb = "listen to" if what.lower() == "subscription" else "publish on"
            log.warning("%s: NATS does not let this user %s %s", self.name, verb, subject)

    def was_denied(self, subject: str) -> bool:
        """Whether the server refused what was published there; it says so in lower case."""
        return subject.lower() in self._denied

    async def ensure(self) -> None:
        """Makes the streams and buckets that are missing; those that are there keep their limits. Raises ``BeingRestored``."""
        absent = await streams.missing(self.js, streams.wanted(self.settings))
        await streams.make(self.js, absent)

    async def ask(
        self, subject: str, request: Any, answer: type[Answer], *, timeout_s: float = 5.0
    ) -> Answer | Refused:
        """Asks whoever serves ``subject``. Nobody there, or no answer in time, is a ``Refused`` too."""
        headers: dict[str, str] = {}
        try:
            with tracing.sending("ask", type(request).__name__, headers, kind=SpanKind.CLIENT):
                reply = await self._reply(subject, msgspec.json.encode(request), headers, timeout_s)
        except NoRespondersError:
            return Refused(code="nobody_there", detail=f"nobody answers on {subject}; is that service running?")
        except TimeoutError:
            return Refused(code="no_answer", detail=f"no answer on {subject} within {timeout_s} s")
        return msgspec.json.decode(reply.data, type=answer | Refused)

    async def _reply(self, subject: str, body: bytes, headers: dict[str, str], timeout_s: float) -> Msg:
        """The answer, on a subject that says whose question it is, and whose answer: nobody else may listen there, or speak.

        nats-py's own requests have one inbox for all, where whoever may answer one thing may answer everything.
        """
        came: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

        async def take(message: Msg) -> None:
            if not came.done():
                came.set_result(message)

        inbox = f"{replies_of(self.settings.nats_inbox, subject)}.{secrets.token_hex(12)}"
        subscription = await self.nc.subscribe(inbox, cb=take)
        try:
            await self.nc.publish(subject, body, reply=inbox, headers=headers or None)
            async with asyncio.timeout(timeout_s):
                reply = await came
        finally:
            if not self.nc.is_closed:
                await subscription.unsubscribe()
        if reply.headers and reply.headers.get("Status") == _NO_RESPONDERS:
            raise NoRespondersError
        return reply

    @contextlib.asynccontextmanager
    async def serving(
        self, name: str, version: str, endpoints: dict[str, Callable[[bytes], Awaitable[msgspec.Struct]]]
    ) -> AsyncGenerator[None, None]:
        """Answers requests on the subjects of ``endpoints`` until the context is left (nats.micro: ``nats micro ls`` shows it)."""
        service = await nats.micro.add_service(self.nc, name=name, version=version)
        under_way: set[asyncio.Task[None]] = set()
        try:
            for subject, answer in endpoints.items():
                handler = _beside(_answering(answer), under_way)
                await service.add_endpoint(name=subject.replace(".", "-"), subject=subject, handler=handler)
            await self.nc.flush()
            yield
        finally:
            await service.stop()
            await cancels.until_over(under_way)


Answering = Callable[[Request], Awaitable[None]]


def _beside(answer: Callable[[Request], Coroutine[Any, Any, None]], under_way: set[asyncio.Task[None]]) -> Answering:
    """Answers are made side by side, begun in the order of the requests: nats-py alone would have each wait for the one before."""

    async def begin(request: Request) -> None:
        task = asyncio.create_task(answer(request))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    return begin


def _answering(answer: Callable[[bytes], Awaitable[msgspec.Struct]]) -> Callable[[Request], Coroutine[Any, Any, None]]:
    async def handle(request: Request) -> None:
        try:
            with tracing.answering("answer", request.headers):
                reply = await answer(request.data)
        except msgspec.MsgspecError as error:
            reply = Refused(code="malformed", detail=str(error))
        except Exception:
            log.exception("a request on %s could not be answered", request.subject)
            reply = Refused(code="fault", detail="something went wrong there; its log says what")
        with contextlib.suppress(NatsError, OSError):  # whoever asked has given up by then
            if isinstance(reply, Refused):
                await request.respond_error(code="400", description=reply.code, data=msgspec.json.encode(reply))
            else:
                await request.respond(msgspec.json.encode(reply))

    return handle


@contextlib.asynccontextmanager
async def connected(settings: NatsSettings, *, name: str, ensured: bool = True) -> AsyncGenerator[Bus, None]:
    """A connection for the time of the context, with all streams there if ``ensured``. Raises ``NatsUnreachable``.

    It reconnects by itself, for ever; what is under way meanwhile fails by its own deadline.
    """
    bus = Bus(name, settings, await asyncio.to_thread(redaction.configured, settings))

    async def lost() -> None:
        if not bus.nc.is_closed:  # closing it ourselves ends here too
            log.warning("%s: the connection to NATS is gone", name)

    last_problem: list[Exception] = []
    stranger = asyncio.Event()

    async def error(problem: Exception) -> None:
        last_problem[:] = [problem]
        bus.refused(problem)
        if "authorization violation" in str(problem).lower():
            stranger.set()
        log.debug("%s: NATS: %r", name, problem)

    options: dict[str, Any] = {
        # Mixed here and only once: nats-py would mix them at each reconnect, and try first the one that has just failed, one time in three.
        "servers": random.sample(servers := settings.nats_url.split(","), len(servers)),
        "dont_randomize": True,
        "name": name,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "ping_interval": 2,
        "max_outstanding_pings": 2,
        # Or whoever sends more than nats-py keeps waits, whatever his deadline, until a server that went away meanwhile has come back.
        "flush_timeout": _FLUSH_S,
        "error_cb": error,
        "disconnected_cb": lost,
        "reconnected_cb": bus.reconnected,
    }
    options |= await asyncio.to_thread(identity.options_of, settings)
    try:
        try:
            async with asyncio.timeout(settings.nats_connect_timeout_s):
                await _admitted(bus.nc.connect(**options), stranger)
                if ensured:
                    await _ensured(bus, last_problem)
        except BeingRestored as problem:
            raise NatsUnreachable(str(problem)) from problem
        except NotAllowed as problem:
            raise NatsUnreachable(
                f"NATS at {settings.nats_url} does not let this service use {problem}; if this lab has no log yet, "
                "`benchwire deploy streams` makes it, as the user admin"
            ) from problem
        except Stranger as problem:
            raise NatsUnreachable(_who(settings)) from problem
        except (NatsError, TimeoutError) as problem:
            raise NatsUnreachable(_why(problem, settings, last_problem)) from problem
        yield bus
    finally:
        await bus.nc.end()


async def _admitted(connecting: Coroutine[Any, Any, None], stranger: asyncio.Event) -> None:
    """Connects, unless the server says that it does not know this user: asking again would not help."""
    tasks = [asyncio.create_task(connecting), asyncio.create_task(stranger.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise Stranger
        tasks[0].result()
    finally:
        await cancels.until_over(tasks)


async def _ensured(bus: Bus, last_problem: list[Exception]) -> None:
    """The streams, as soon as that can be answered: a cluster may be electing, or lack a node, and a leaf node may have no way to it yet."""
    async for attempt in stamina.retry_context(
        on=_may_pass, attempts=None, timeout=None, wait_initial=0.1, wait_max=1.0
    ):
        with attempt:
            try:
                await bus.ensure()
            except NatsError as problem:
                last_problem[:] = [problem]
                if bus.denied_last is not None:
                    raise NotAllowed(bus.denied_last) from problem
                raise


def _who(settings: NatsSettings) -> str:
    shown = settings.nats_nkey or settings.nats_credentials
    why = f"the key in {shown} is none of its users'" if shown else "it wants a key (BENCHWIRE_NATS_NKEY)"
    return f"NATS at {settings.nats_url} does not let this service in (authorization violation): {why}"


def _may_pass(problem: Exception) -> bool:
    return isinstance(problem, NatsError) and getattr(problem, "err_code", None) != _NOT_CLUSTERED


def _why(problem: Exception, settings: NatsSettings, before: list[Exception]) -> str:
    if isinstance(problem, TimeoutError):
        last = before[0] if before else None
        if isinstance(last, ServiceUnavailableError | NoRespondersError) and getattr(last, "err_code", None) is None:
            return (
                f"no JetStream behind NATS at {settings.nats_url} within {settings.nats_connect_timeout_s} s: a server of its own needs "
                "--jetstream; a leaf node needs its way to the cluster, and default_js_domain"
            )
        if isinstance(last, APIError):
            return f"NATS at {settings.nats_url} is of no use: {last}"
        heard = f": {last}" if last else ""
        return f"no NATS at {settings.nats_url} within {settings.nats_connect_timeout_s} s{heard}"
    return f"NATS at {settings.nats_url} is of no use: {problem}"


__all__ = [
    "ARTIFACTS", "LIVE", "PRESENCE", "PRESENCE_TTL_S", "RESTORING", "STREAM", "Bus", "Msg", "NatsUnreachable", "connected",
]  # fmt: skip
