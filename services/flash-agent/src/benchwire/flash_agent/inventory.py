"""The boards of this host: finds them, tells the log, watches their serial ports."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import UTC, datetime

import msgspec

from benchwire.events.device import DeviceAttached, DeviceDetached, DeviceIdentified
from benchwire.events.event import IllegalToken, token
from benchwire.events.log import Log, LogUnavailable
from benchwire.flash_agent.console import Console
from benchwire.flash_agent.errors import DeviceNotAttached, NoPort
from benchwire.flash_agent.finding.merging import merged
from benchwire.flash_agent.probes import Device, Source, driver_and_chip, known_of
from benchwire.flash_agent.taps import Taps

log = logging.getLogger(__name__)

_NEVER = datetime.fromtimestamp(0, UTC)
# What the log says of a board, in the words of whoever found it.
_TOLD = tuple(name for name in DeviceAttached.__struct_fields__ if name in Device.__struct_fields__)


class Board:
    """A board that is plugged in. ``gone`` is set when it vanishes; what comes back later is another ``Board``.

    ``found`` is what was found; ``device`` is that and what the chip itself said, if it was asked (``identified``). Whoever uses the board's
    hardware, other than to listen, holds ``turn``.
    """

    def __init__(self, found: Device, console: Console | None, identified: DeviceIdentified | None) -> None:
        self.found = found
        self.device = found
        self.console = console
        self.identified: DeviceIdentified | None = None
        self.turn = asyncio.Lock()
        self.gone = asyncio.Event()
        if identified is not None:
            self.learn(identified)

    def learn(self, identified: DeviceIdentified) -> None:
        """The chip was asked: what it said is used from now on where nobody said otherwise."""
        found = self.found
        profile = found.profile or identified.profile
        known = None if profile is None else known_of(profile)
        self.identified = identified
        self.device = msgspec.structs.replace(
            found,
            profile=profile,
            driver=found.driver or (None if known is None else driver_and_chip(known)[0]),
            chip=found.chip or identified.chip,
        )


def fact_of(host: str, device: Device, now: datetime) -> DeviceAttached:
    """What the log says of ``device``."""
    return DeviceAttached(
        timestamp=now,
        host=host,
        device=device.name,
        **{name: getattr(device, name) for name in _TOLD},
    )


class Inventory:
    """What is plugged in, and what the log holds for plugged in (``told``): the difference becomes facts.

    ``identified`` is what the chips of those said when they were asked, since they were plugged in. ``plugged`` is set when a board comes.
    """

    def __init__(
        self, log_: Log, host: str, sources: Sequence[Source], *, told: Mapping[str, DeviceAttached],
        identified: Mapping[str, DeviceIdentified], tasks: asyncio.TaskGroup,
    ) -> None:  # fmt: skip
        self._log = log_
        self._host = host
        self._sources = sources
        self._told = {name: _timeless(fact) for name, fact in told.items()}
        self._identified = dict(identified)
        self.plugged = asyncio.Event()
        self._tasks = tasks
        self._boards: dict[str, Board] = {}
        self._monitors: dict[str, asyncio.Task[None]] = {}
        self._found: dict[str, list[Device]] = {}
        self._replugged: set[str] = set()
        self._turn = asyncio.Lock()
        self._complaints: dict[str, str] = {}
        # Threads of their own: the common ones may all wait for ports that cannot be opened.
        self._lookers = ThreadPoolExecutor(max(1, len(sources)), thread_name_prefix="look")
        self._woken = {source.name: asyncio.Event() for source in sources}
        self.taps = Taps()

    def board(self, name: str) -> Board | None:
        """The board of that name, if it is plugged in."""
        return self._boards.get(name)

    def console(self, name: str) -> Console:
        """The monitor of a board that is there, and has a port. Raises ``DeviceNotAttached`` and ``NoPort``."""
        board = self._boards.get(name)
        if board is None:
            raise DeviceNotAttached(name, self._host)
        if board.console is None:
            raise NoPort(name)
        return board.console

    def boards(self) -> list[Board]:
        """All boards that are plugged in."""
        return list(self._boards.values())

    def look_now(self) -> None:
        """Something was plugged in or pulled out: the watch looks at once."""
        for woken in self._woken.values():
            woken.set()

    def in_use(self, name: str) -> bool:
        """Whether this agent has the port of that board open, or lent it to a tool. From any thread."""
        board = self._boards.get(name)
        return board is not None and (board.turn.locked() or (board.console is not None and board.console.is_open))

    async def scan(self) -> list[str]:
        """Looks everywhere now; the names of what is there."""
        for source in self._sources:
            await self._look(source)
        await self._settle()
        return sorted(self._boards)

    async def watch(self) -> None:
        """Looks again and again."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(self._watch(source))

    async def _watch(self, source: Source) -> None:
        woken = self._woken[source.name]
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(source.period_s):
                    await woken.wait()
            woken.clear()
            await self._look(source)
            await self._settle()

    async def _look(self, source: Source) -> None:
        try:
            self._found[source.name] = await asyncio.get_running_loop().run_in_executor(self._lookers, source.find)
            self._complaints.pop(source.name, None)
        except (OSError, ValueError) as error:
            # What cannot be looked at has not vanished; msgspec's DecodeError is a ValueError.
            if self._complaints.get(source.name) != str(error):
                self._complaints[source.name] = str(error)
                log.warning("%s cannot be listed: %s", source.name, error)

    async def _settle(self) -> None:
        async with self._turn:
            self._take_over(self._named())
            try:
                await self._tell()
            except LogUnavailable as error:
                log.warning("what is plugged in could not be told, and will be told later: %s", error)

    def _named(self) -> dict[str, Device]:
        named: dict[str, Device] = {}
        for name, device in merged(self._found).items():
            with contextlib.suppress(IllegalToken):
                named[token(name)] = device
        return named

    def _take_over(self, found: dict[str, Device]) -> None:
        for name, board in list(self._boards.items()):
            if found.get(name) != board.found and not _is_kept(board, found.get(name)):
                log.info("%s is gone", name)
                self._unplug(name)
                if name in found:
                    self._replugged.add(name)
        for name, device in found.items():
            if name not in self._boards:
                log.info("%s is there (%s)", name, device.port or device.probe)
                self._plug(device)

    def _plug(self, device: Device) -> None:
        console = None
        if device.port is not None:
            console = Console(
                host=self._host, device=device.name, port=device.port, baud=device.baud, send=self._log.samples,
                tap=self.taps.of(device.name),
            )  # fmt: skip
            # In a context of its own: a scan may be part of some job, and the monitor outlives that.
            self._monitors[device.name] = self._tasks.create_task(
                console.run(), name=f"console of {device.name}", context=Context()
            )
        told = self._told.get(device.name)
        is_as_told = told is not None and told == _timeless(fact_of(self._host, device, _NEVER))
        identified = self._identified.pop(device.name, None)
        self._boards[device.name] = Board(device, console, identified if is_as_told else None)
        self.plugged.set()

    def _unplug(self, name: str) -> None:
        board = self._boards.pop(name)
        board.gone.set()
        if board.console is not None:
            board.console.end()  # not only its task: a job may be about to take the port again
        monitor = self._monitors.pop(name, None)
        if monitor is not None:
            monitor.cancel()

    async def _tell(self) -> None:
        there = {name: fact_of(self._host, board.found, datetime.now(UTC)) for name, board in self._boards.items()}
        for name, told in list(self._told.items()):
            now = there.get(name)
            if now is None or name in self._replugged or _timeless(now) != told:
                reason = "unplugged" if now is None else "plugged in anew"
                await self._log.append(
                    DeviceDetached(timestamp=datetime.now(UTC), host=self._host, device=name, reason=reason)
                )
                del self._told[name]
                self._replugged.discard(name)
        for name, fact in there.items():
            if name not in self._told:
                await self._log.append(fact)
                self._told[name] = _timeless(fact)


def _is_kept(board: Board, now: Device | None) -> bool:
    """Whether a change has to wait until nobody works on the board: what is said of it may change meanwhile, and a boot loader's drive leaves
    when it has all it waited for; whether it has, its tool can tell.
    """
    if not board.turn.locked():
        return False
    if now is None:
        return board.found.drive is not None and not board.found.virtual
    return now.instance == board.found.instance


def _timeless(fact: DeviceAttached) -> DeviceAttached:
    return msgspec.structs.replace(fact, timestamp=_NEVER)
