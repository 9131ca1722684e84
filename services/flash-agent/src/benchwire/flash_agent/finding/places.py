"""Everywhere this host looks for boards, by its settings."""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress

from benchwire.flash_agent.finding import hotplug, probe_list
from benchwire.flash_agent.finding.configured import ConfiguredBoards
from benchwire.flash_agent.finding.drives import drives
from benchwire.flash_agent.finding.probe_list import ProbeList
from benchwire.flash_agent.finding.usb import serial_boards
from benchwire.flash_agent.finding.virtual import virtual_boards
from benchwire.flash_agent.probes import Device, Source
from benchwire.flash_agent.settings import Settings

log = logging.getLogger(__name__)

SETTLES_S = 0.4


def _never_in_use(_: str) -> bool:
    return False


def _nobody_looks() -> None:
    pass


class Places:
    """``in_use`` says whether the agent has a board's port open; ``look`` makes it look at once. Both are told later by whoever does that.

    Reads a file. Raises ``InvalidBoards``.
    """

    def __init__(self, settings: Settings) -> None:
        self.in_use: Callable[[str], bool] = _never_in_use
        self.look: Callable[[], None] = _nobody_looks
        self._configured = None
        if settings.boards is not None:
            self._configured = ConfiguredBoards(settings.boards, self._in_use)
        self._probes = ProbeList(self._look) if probe_list.wanted(settings.probes) else None
        self.sources = list(self._sources(settings))

    def _sources(self, settings: Settings) -> list[Source]:
        found = []
        if settings.ports == "on":
            found += [Source("serial ports", serial_boards, 1.0), Source("drives", drives, 1.0)]
        if self._configured is not None:
            found.append(Source("configured boards", self._configured.find_local, 1.0))
            found.append(Source("network ports", self._configured.find_networked, 1.0))
        if settings.virtual_dir is not None:
            directory = settings.virtual_dir

            def virtual() -> list[Device]:
                return virtual_boards(directory)

            found.append(Source("virtual boards", virtual, 0.3))
        if self._probes is not None:
            found.append(Source("debug probes", self._probes.find, 1.0))
        return found

    def _in_use(self, name: str) -> bool:
        return self.in_use(name)

    def _look(self) -> None:
        self.look()

    async def known(self) -> None:
        """Returns when the debug probes were listed once, or that takes too long: an agent that starts should not take them for unplugged."""
        if self._probes is not None:
            await self._probes.listed()

    async def watch(self) -> None:
        """Makes the agent look when something changes, until cancelled. SIGHUP is a reason to look, too, and to read the file again."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, self._reread)
        try:
            with hotplug.heard(changed.set) as hears:
                log.info("hot-plug events are %s", "heard" if hears else "not heard: ports are looked at each second")
                async with asyncio.TaskGroup() as tasks:
                    if self._probes is not None:
                        tasks.create_task(self._probes.run(), name="probe list")
                    await self._follow(changed)
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def _follow(self, changed: asyncio.Event) -> None:
        while True:
            await changed.wait()
            changed.clear()
            self.look()
            with suppress(TimeoutError):  # links, permissions and names come some moments later
                async with asyncio.timeout(SETTLES_S):
                    await changed.wait()
            self.look()

    def _reread(self) -> None:
        if self._configured is not None:
            self._configured.reread()
        self.look()
