"""nats-py's client, where a lab needs it to be more careful: no cancel is lost, and nothing is left of it when it has been closed.

Seen with nats-py 2.16 on Python 3.11. A client that reconnects while its server is down waits for each attempt with ``wait_for()``, and takes
up a cancel that meets "connection refused" as one more failed attempt. ``close()`` cancels once, waits for as long as the pause between two
attempts, and gives up; the next cancel, of whoever ends the event loop, then meets the next attempt, and the process never ends.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError, ConnectionDrainingError, MaxPayloadError, OutboundBufferLimitError
from nats.errors import Error as NatsError

from benchwire.events import cancels
from benchwire.events.outgoing import Outgoing, framed
from benchwire.events.parser import Hears, Parser

_NOT_LET_IN = ("authorization violation", "authentication revoked", "authentication expired", "authentication timeout")
_LAST_WORDS_S = 1.0
_CLOSE_S = 2.0


class Connection(Client):
    """A client of NATS that ends when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._ps: Parser = Parser(self)

    async def hear(self, subject: str, hears: Hears) -> Subscription:
        """Calls ``hears`` with each message on ``subject``, at once and in order, until the subscription is ended by ``deaf``.

        nats-py has a queue and a task for each subscription: as much work again as reading a message.
        """
        subscription = await self.subscribe(subject)
        self._ps.hears[subscription._id] = hears  # noqa: SLF001
        return subscription

    async def deaf(self, subscription: Subscription) -> None:
        """Ends what ``hear`` began."""
        self._ps.hears.pop(subscription._id, None)  # noqa: SLF001
        if not self.is_closed:
            await subscription.unsubscribe()

    async def publish_all(self, messages: Sequence[Outgoing], replies: Sequence[str]) -> None:
        """Publishes ``messages`` in their order, as ``publish`` does with each, in one piece; answers are to come on ``replies``.

        Raises as ``publish`` does, and then none of them is sent.
        """
        if self.is_closed:
            raise ConnectionClosedError
        if self.is_draining_pubs:
            raise ConnectionDrainingError
        size = sum(len(one.body) for one in messages)
        if not self.is_connected and size + self._pending_data_size > self._max_pending_size:
            raise OutboundBufferLimitError
        if any(len(one.body) > self._max_payload for one in messages):
            raise MaxPayloadError
        await self._send_command(framed(messages, replies))
        self.stats["out_msgs"] += len(messages)
        self.stats["out_bytes"] += size
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def end(self) -> None:
        """Sends what can still be sent, and closes in bounded time, however the server is; no task of the client outlives it."""
        await cancels.to_the_end(self._ended())

    async def _ended(self) -> None:
        if self._flush_queue is None:  # it never began
            return
        callbacks = [sub._wait_for_msgs_task for sub in self._subs.values()]  # noqa: SLF001 - a close that fails leaves them
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            if self.is_connected:
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self.flush()
        # Before the close, or a reconnect goes on behind it, and may end with a connection.
        await _over(self._reading_task, self._ping_interval_task, self._flusher_task, self._reconnection_task)
        closing = asyncio.create_task(self.close())
        await asyncio.wait([closing], timeout=_CLOSE_S)
        self._abort()
        await asyncio.sleep(0)  # the turn of the event loop in which it is closed
        await _over(closing, *callbacks)
        # A server that is gone; or nats-py awaited what was cancelled together with a reconnect: it did not get to its callbacks, that is all.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            closing.result()

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,  # noqa: ASYNC109 - nats-py's parameter
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """As in nats-py; a cancel is raised after the reply, if not before."""
        with cancels.kept():
            return await super().request(subject, payload, timeout, old_style, headers)

    async def flush(self, timeout: int = 10) -> None:  # noqa: ASYNC109 - nats-py's parameter
        """As in nats-py; a cancel is raised after the answer, if not before."""
        with cancels.kept():
            await super().flush(timeout)

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        with cancels.kept():
            return await super()._flush_pending(force_flush)

    async def _connect_to_server(self, s: Srv) -> None:
        self._abort()  # an attempt that came as far as the connection and no further leaves it open
        with cancels.kept():
            await super()._connect_to_server(s)

    async def _process_connect_init(self) -> None:
        with cancels.kept():
            await super()._process_connect_init()

    async def _process_err(self, err_msg: str) -> None:
        # nats-py would close the client for good; but a server that lets nobody in now may be told to in a minute.
        if any(why in err_msg for why in _NOT_LET_IN):
            self._err = NatsError(f"nats: {err_msg}")
            await self._process_op_err(self._err)
            return
        await super()._process_err(err_msg)

    def _connect_command(self) -> bytes:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None and writer.get_extra_info("ssl_object") is not None:
            # nats-py makes this protocol and does not tell it that it is above TLS; asyncio would warn of what it answers at the end.
            writer.transport.get_protocol()._over_ssl = True  # noqa: SLF001
        elif "tls" in self.options:
            # A server that offers no TLS, or somebody between who took the offer out, is believed by nats-py.
            raise NatsError("nats: the server does not speak TLS")
        return super()._connect_command()

    async def _attempt_reconnect(self) -> None:
        # Or bytes that a server which is gone never took keep the old connection open, and the reconnect waiting, until TCP gives up.
        self._abort()
        await super()._attempt_reconnect()

    async def leave(self) -> None:
        """Goes to another server, if there is one: this one can be reached, and is of no use. What is under way on the connection fails."""
        if len(self.servers) > 1:
            await self.force_reconnect()

    def _abort(self) -> None:
        """Drops the connection, and what was still to be sent on it."""
        # The one below TLS: of a TLS transport that was closed twice, which a reconnect does, Python 3.11.2 cannot take an abort.
        writer = getattr(self._transport, "_bare_io_writer", None)
        # Nor can any asyncio abort a transport that was closed before its last bytes were taken, and has got rid of them since.
        held = None if writer is None else writer.get_extra_info("socket")  # None of uvloop's, once it is closed
        if writer is not None and held is not None and held.fileno() >= 0:
            writer.transport.abort()


async def _over(*tasks: asyncio.Task[Any] | None) -> None:
    await cancels.until_over([task for task in tasks if task is not None])
