"""The gate of a service: how many may be connected, from one address and in all, and how slow they may be.

What costs nothing while a client behaves: a connection is counted when it comes and when it goes, and once a second somebody looks at all of
them. No request starts a timer. Time is counted in looks, so a service that was stopped for a while does not blame its clients for it.
"""

import asyncio
import contextlib
import logging
import resource
import socket
import struct
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from benchwire.web.peers import peer_of
from benchwire.web.refusal import Refused
from benchwire.web.settings import WebSettings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
_OWN_FILES = 256  # what a service has open beside its clients: rows, NATS, files on their way
_MOST_TOLD = 256  # of those who are too many, so many at a time are told so; the others are cut off
_ACKNOWLEDGED_AT = 120  # tcpi_bytes_acked in struct tcp_info, Linux 4.1 and later
_INFO_BYTES = 192
_NO_END = 1 << 30


class Peer:
    """Everybody at one address."""

    __slots__ = ("address", "connections", "messages")

    def __init__(self, address: str) -> None:
        self.address = address
        self.connections = 0
        self.messages = 0  # WebSocket frames of this second


class Connected(Protocol):
    """What serves a connection."""

    kind: str

    def look(self, passed_s: float) -> None:
        """Called about once a second, with the seconds since the last time."""

    def cut_off(self) -> None:
        """Ends it at once."""


class Visit:
    """A connection from its beginning to its end, whichever protocol serves it."""

    def __init__(self, transport: asyncio.Transport, peer: Peer, served_by: Connected) -> None:
        self.transport = transport
        self.peer = peer
        self.served_by = served_by
        self.is_counted = True
        self._taking_s = 0.0
        self._taken_before: int | None = 0

    def takes_too_slowly(self, passed_s: float, *, within_s: float, bytes_per_s: int) -> bool:
        """Whether something waits to be sent, and the client has taken less than ``bytes_per_s`` of it over ``within_s``."""
        if not self.transport.get_write_buffer_size():
            self._taking_s = 0.0
            return False
        if not self._taking_s:
            self._taken_before = _acknowledged_bytes(self.transport)
        self._taking_s += passed_s
        if self._taking_s < within_s:
            return False
        least, self._taking_s = self._taking_s * bytes_per_s, 0.0
        taken = _acknowledged_bytes(self.transport)
        return taken is not None and self._taken_before is not None and taken - self._taken_before < least


class Gate:
    """Lets connections in as ``settings`` say, and looks after those that are there. ``refusals`` counts what it refused, by why."""

    def __init__(self, settings: WebSettings) -> None:
        self.settings = settings
        self.look_every_s = min(LOOK_EVERY_S, settings.head_within_s / 4, settings.slow_for_s / 4)
        self._most = _with_files_for(settings.connections)
        self._visits: dict[asyncio.Transport, Visit] = {}
        self._peers: dict[str, Peer] = {}
        self._counted = 0
        self._held: list[Callable[[], None]] = []
        self._second_s = 0.0
        self.refusals = Counter[str]()

    def connections(self) -> Counter[str]:
        """How many there are, by what is spoken on them."""
        return Counter(one.served_by.kind for one in self._visits.values())

    @property
    def waiting_bytes(self) -> int:
        """What clients have not taken yet, of all together."""
        return sum(one.get_write_buffer_size() for one in self._visits)

    def enter(self, one: Connected, transport: asyncio.Transport) -> Refused | None:
        """Counts a connection that ``one`` serves. It is too many when something is returned, and should be told that and leave."""
        address = _address(transport)
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = Peer(address)
        visit = self._visits[transport] = Visit(transport, peer, one)
        refused = self._too_many(peer)
        if refused is None:
            peer.connections += 1
            self._counted += 1
            return None
        visit.is_counted = False
        if len(self._visits) - self._counted > _MOST_TOLD:
            self.count(refused.reason)
            transport.abort()
        return refused

    def _too_many(self, peer: Peer) -> Refused | None:
        most = self.settings.connections_per_peer
        if 0 < most <= peer.connections:
            sentence = f"more than the {most} connections that this service takes from one address; close some, or try again a little later"
            return Refused(429, sentence, "connections_of_peer")
        if self._counted >= self._most:
            return Refused(
                503, "this service has as many connections as it takes; try again a little later", "connections"
            )
        return None

    def visit(self, transport: asyncio.Transport) -> Visit:
        """The connection that has ``transport``."""
        return self._visits[transport]

    def leave(self, transport: asyncio.Transport) -> None:
        """The connection is gone."""
        visit = self._visits.pop(transport)
        if visit.is_counted:
            visit.peer.connections -= 1
            self._counted -= 1
        if not visit.peer.connections and self._peers.get(visit.peer.address) is visit.peer:
            del self._peers[visit.peer.address]

    def count(self, reason: str) -> None:
        """Counts somebody who was turned away."""
        self.refusals[reason] += 1

    def hold(self, go_on: Callable[[], None]) -> None:
        """Calls ``go_on`` when the next second has begun."""
        self._held.append(go_on)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncGenerator[None, None]:
        """Looks at every connection, for the time of the context."""
        looking = asyncio.create_task(self._look(), name="gate")
        try:
            yield
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self.look_every_s)
            self._next_second()
            self._free_memory()
            for visit in list(self._visits.values()):
                try:
                    self._look_at(visit)
                except Exception:
                    log.exception("a connection could not be looked at")

    def _free_memory(self) -> None:
        """Cuts off who has most waiting, of the address that has most, while all together have more than is kept for them."""
        most = self.settings.unread_limit_bytes
        excess = self.waiting_bytes - most
        if not most or excess <= 0:
            return
        waiting = {visit: transport.get_write_buffer_size() for transport, visit in self._visits.items()}
        of_peers = Counter[Peer]()
        for visit, size in waiting.items():
            of_peers[visit.peer] += size
        for visit in sorted(waiting, key=lambda one: (of_peers[one.peer], waiting[one]), reverse=True):
            if excess <= 0:
                return
            excess -= waiting[visit]
            self.count("unread")
            visit.served_by.cut_off()

    def _look_at(self, visit: Visit) -> None:
        slow = visit.takes_too_slowly(
            self.look_every_s, within_s=self.settings.slow_for_s, bytes_per_s=self.settings.slowest_bytes_per_s
        )
        if slow:
            self.count("slow_to_take")
            visit.served_by.cut_off()
        else:
            visit.served_by.look(self.look_every_s)

    def _next_second(self) -> None:
        self._second_s += self.look_every_s
        if self._second_s < 1.0:
            return
        self._second_s = 0.0
        for peer in self._peers.values():
            peer.messages = 0
        held, self._held = self._held, []
        for go_on in held:  # each by itself: one that fails leaves the others
            asyncio.get_running_loop().call_soon(go_on)


def _acknowledged_bytes(transport: asyncio.Transport) -> int | None:
    """How much the peer's machine has taken since the connection began; None where the system does not say."""
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        return int(struct.unpack_from("=Q", info, _ACKNOWLEDGED_AT)[0])
    except (OSError, struct.error):
        return None


def _address(transport: asyncio.Transport) -> str:
    name = transport.get_extra_info("peername")
    return peer_of(name[0]) if name else ""


def _with_files_for(connections: int) -> int:
    """How many connections there can be, up to ``connections`` (0: as many as possible): each needs a file, and this process may have few.

    Without a free one nobody could be let in, also not who comes back, and rows could not be opened.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections or _NO_END
    most = _NO_END if hard == resource.RLIM_INFINITY else hard
    wanted = min(connections + _OWN_FILES, most) if connections else most
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # the kernel has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    possible = max(1, soft - _OWN_FILES)
    if possible < connections:
        log.warning(
            "with %d open files there can be %d connections, not the %d of BENCHWIRE_CONNECTIONS",
            soft,
            possible,
            connections,
        )
    return min(connections or possible, possible)
