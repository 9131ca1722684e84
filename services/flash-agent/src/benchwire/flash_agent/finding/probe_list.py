"""Debug probes, as a process that alone speaks to them tells."""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from benchwire.events import child
from benchwire.events.event import MAX_TOKEN_BYTES
from benchwire.flash_agent.finding.merging import probe_key
from benchwire.flash_agent.finding.usb import SYSFS, UsbDevice, usb_devices
from benchwire.flash_agent.probes import Device, slug, usb_name
from benchwire.flash_agent.tools.probe_protocol import Probe

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "benchwire.flash_agent.tools.probe_lister")
RESTART_S = 2.0
MAX_RESTART_S = 60.0
LISTED_WITHIN_S = 6.0

_decoder = msgspec.json.Decoder(list[Probe])


def wanted(setting: Literal["auto", "on", "off"]) -> bool:
    """Whether probes are to be looked for: where there is no USB, there are none to be found."""
    return setting == "on" or (setting == "auto" and SYSFS.is_dir())


class ProbeList:
    """What the lister said last. ``changed`` is called when it says something new."""

    def __init__(self, changed: Callable[[], None], command: Sequence[str] = COMMAND) -> None:
        self._changed = changed
        self._command = command
        self._probes: list[Probe] = []
        self._nameless = 0
        self._listed = asyncio.Event()

    async def listed(self) -> None:
        """Returns when the lister has said something, or said nothing for too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTED_WITHIN_S):
                await self._listed.wait()

    def find(self) -> list[Device]:
        """The probes as devices. Blocking; call it in a thread."""
        usb = usb_devices() if self._probes else []
        named = [probe for probe in self._probes if probe.unique_id]
        return [_device(probe, usb) for probe in named]

    async def run(self) -> None:
        """Keeps a lister at work until cancelled. What one that died had said stays true until the next says better."""
        wait_s = RESTART_S
        while True:
            began_s = asyncio.get_running_loop().time()
            ending = await self._listen()
            if asyncio.get_running_loop().time() - began_s > MAX_RESTART_S:
                wait_s = RESTART_S
            log.warning("debug probes cannot be listed (%s); it is tried again in %g s", ending, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_RESTART_S)

    async def _listen(self) -> str:
        """One life of the lister; why it ended."""
        try:
            # pyocd runs scripts it finds in its working directory; there are none in the root.
            async with child.spawn(
                self._command, env=_environment(), cwd="/", stdout=child.PIPE, grace_s=0.3
            ) as process:
                assert process.stdout is not None
                while line := await process.stdout.readline():
                    self._heard(_decoder.decode(line))
                return f"exit code {await child.exited(process)}"
        except (OSError, ValueError) as error:  # ValueError: a line that is none of ours, or has no end
            return str(error)

    def _heard(self, probes: list[Probe]) -> None:
        nameless = [probe.description for probe in probes if not probe.unique_id]
        if len(nameless) > self._nameless:
            log.warning(
                "a debug probe (%s) tells no serial number, so it cannot be chosen among others and is left alone",
                nameless[-1],
            )
        self._nameless = len(nameless)
        self._probes = probes
        self._listed.set()
        self._changed()


def _environment() -> dict[str, str]:
    """Virtual boards are found where they register; pyocd, which may list them as well, hears of their end only later."""
    return {name: value for name, value in os.environ.items() if name != "BENCHWIRE_VIRTUAL_DIR"}


def _device(probe: Probe, usb: Sequence[UsbDevice]) -> Device:
    """Named as its serial port would be, if it has one: so it is the same board before and after that was seen."""
    key = probe_key(probe.unique_id)
    same = next((one for one in usb if one.serial_number and probe_key(one.serial_number) == key), None)
    if same is None:
        name = f"probe-{slug(probe.unique_id)}"[:MAX_TOKEN_BYTES].rstrip("-")
        return Device(name=name, driver="pyocd", probe=probe.unique_id, serial_number=probe.unique_id)
    return Device(
        name=usb_name(same.vid, same.pid, str(same.serial_number)),
        driver="pyocd",
        probe=probe.unique_id,
        serial_number=same.serial_number,
        vid=f"{same.vid:04x}",
        pid=f"{same.pid:04x}",
    )
