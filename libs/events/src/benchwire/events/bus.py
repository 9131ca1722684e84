"""The connection to NATS, and the streams that every service counts on."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import msgspec
import nats
import nats.micro
import stamina
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, ObjectStoreConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, BucketNotFoundError, NotFoundError, ServiceUnavailableError
from nats.micro.request import Request
from opentelemetry.trace import SpanKind

from benchwire.events import cancels, tracing
from benchwire.events.asks import Refused
from benchwire.events.catalog import FACTS, SAMPLES
from benchwire.events.connection import Connection
from benchwire.events.settings import NatsSettings

log = logging.getLogger(__name__)

# What is tried again is told in our own words. By default the first retry imports prometheus_client, on the event loop, and counts in its
# global registry.
stamina.instrumentation.set_on_retry_hooks([])

STREAM = "BENCH"
LIVE = "LIVE"
ARTIFACTS = "artifacts"
PRESENCE = "presence"
PRESENCE_TTL_S = 4.0

_MIB = 1 << 20
DUPLICATE_WINDOW_S = 120.0

Answer = TypeVar("Answer")


class NatsUnreachable(Exception):
    """No NATS server answered in time, or the one that did is of no use; the sentence says why."""


class Bus:
    """One connection. ``reconnects`` counts how often it came back; ``on_reconnect`` is for whoever then has to ask for something anew."""

    def __init__(self, name: str, replicas: int = 1) -> None:
        self.name = name
        self.nc = Connection()
        self.js: JetStreamContext = self.nc.jetstream(timeout=5.0)
        self._replicas = replicas
        self._on_reconnect: set[Callable[[], None]] = set()
        self.reconnects = 0

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
        log.info("%s: connected to NATS again", self.name)
        for call in tuple(self._on_reconnect):
            call()

    async def ensure(self) -> None:
        """Makes the streams and buckets that are missing; those that are there keep their settings."""
        replicas = self._replicas
        await self._stream(
            StreamConfig(
                name=STREAM, subjects=[FACTS], storage=StorageType.FILE, retention=RetentionPolicy.LIMITS,
                duplicate_window=DUPLICATE_WINDOW_S, allow_direct=True, num_replicas=replicas,
            )
        )  # fmt: skip
        await self._stream(
            StreamConfig(
                name=LIVE, subjects=[SAMPLES], storage=StorageType.FILE, max_age=3600.0, max_bytes=256 * _MIB,
                duplicate_window=1.0, allow_direct=True, num_replicas=replicas,
            )
        )  # fmt: skip
        try:
            await self.js.object_store(ARTIFACTS)
        except (BucketNotFoundError, NotFoundError):
            await self.js.create_object_store(ARTIFACTS, ObjectStoreConfig(replicas=replicas))
        try:
            await self.js.key_value(PRESENCE)
        except (BucketNotFoundError, NotFoundError):
            await self.js.create_key_value(KeyValueConfig(bucket=PRESENCE, ttl=PRESENCE_TTL_S, replicas=replicas))

    async def _stream(self, config: StreamConfig) -> None:
        try:
            await self.js.stream_info(str(config.name))
        except NotFoundError:
            with contextlib.suppress(BadRequestError):  # another service was quicker
                await self.js.add_stream(config)

    async def ask(
        self, subject: str, request: Any, answer: type[Answer], *, timeout_s: float = 5.0
    ) -> Answer | Refused:
        """Asks whoever serves ``subject``. Nobody there, or no answer in time, is a ``Refused`` too."""
        headers: dict[str, str] = {}
        try:
            with tracing.sending("ask", type(request).__name__, headers, kind=SpanKind.CLIENT):
                reply = await self.nc.request(
                    subject, msgspec.json.encode(request), timeout=timeout_s, headers=headers or None
                )
        except NoRespondersError:
            return Refused(code="nobody_there", detail=f"nobody answers on {subject}; is that service running?")
        except NatsTimeoutError:
            return Refused(code="no_answer", detail=f"no answer on {subject} within {timeout_s} s")
        return msgspec.json.decode(reply.data, type=answer | Refused)

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
async def connected(settings: NatsSettings, *, name: str) -> AsyncGenerator[Bus, None]:
    """A connection for the time of the context, with all streams there. Raises ``NatsUnreachable``.

    It reconnects by itself, for ever; what is under way meanwhile fails by its own deadline.
    """
    bus = Bus(name, settings.nats_replicas)

    async def lost() -> None:
        if not bus.nc.is_closed:  # closing it ourselves ends here too
            log.warning("%s: the connection to NATS is gone", name)

    last_problem: list[Exception] = []

    async def error(problem: Exception) -> None:
        last_problem[:] = [problem]
        log.debug("%s: NATS: %r", name, problem)

    options: dict[str, Any] = {
        "servers": settings.nats_url.split(","),
        "name": name,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "ping_interval": 5,
        "max_outstanding_pings": 2,
        "error_cb": error,
        "disconnected_cb": lost,
        "reconnected_cb": bus.reconnected,
    }
    if settings.nats_credentials is not None:
        options["user_credentials"] = str(settings.nats_credentials)
    try:
        try:
            async with asyncio.timeout(settings.nats_connect_timeout_s):
                await bus.nc.connect(**options)
                await bus.ensure()
        except (NatsError, TimeoutError) as problem:
            raise NatsUnreachable(_why(problem, settings, last_problem)) from problem
        yield bus
    finally:
        await bus.nc.end()


def _why(problem: Exception, settings: NatsSettings, before: list[Exception]) -> str:
    if isinstance(problem, ServiceUnavailableError | NoRespondersError):
        return f"NATS at {settings.nats_url} runs without JetStream; start it with --jetstream"
    if isinstance(problem, TimeoutError):
        heard = f": {before[0]}" if before else ""
        return f"no NATS at {settings.nats_url} within {settings.nats_connect_timeout_s} s{heard}"
    return f"NATS at {settings.nats_url} is of no use: {problem}"


__all__ = ["ARTIFACTS", "LIVE", "PRESENCE", "STREAM", "Bus", "Msg", "NatsUnreachable", "connected"]
