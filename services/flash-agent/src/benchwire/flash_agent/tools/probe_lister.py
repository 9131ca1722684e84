"""Lists the debug probes of this host with pyocd, in a process of its own: ``python -m benchwire.flash_agent.tools.probe_lister``.

Says which probes are connected, as one line of JSON, at the start and whenever that changes, for as long as somebody reads it. USB
libraries may hang or crash: that ends with this process.
"""

import logging
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec
from pyocd.core import exceptions
from pyocd.probe.aggregator import DebugProbeAggregator

from benchwire.flash_agent.tools.probe_protocol import Probe

USB = Path("/sys/bus/usb/devices")
PERIOD_S = 0.5
# Whoever may open a device is settled by udev some moments after it appeared.
SETTLES_S = 5.0


def main() -> None:
    """Looks until nobody listens any more."""
    logging.basicConfig(level=logging.WARNING)
    said: list[Probe] | None = None
    plugged: list[str] | None = None
    changed_s = time.monotonic()
    while True:
        now = _plugged()
        if now != plugged:
            plugged, changed_s = now, time.monotonic()
        # Listing opens every probe; where the kernel tells of changes, that is done only after one.
        if not plugged or time.monotonic() - changed_s < SETTLES_S:
            found = connected()
            if found != said:
                said = found
                sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
                sys.stdout.buffer.flush()
        time.sleep(PERIOD_S)


def _plugged() -> list[str]:
    """Something that changes with every device that comes or goes; empty where the kernel does not tell."""
    plugged = []
    for number in sorted(USB.glob("*/devnum")):
        with suppress(OSError):
            plugged.append(f"{number.parent.name} {number.read_text().strip()}")
    return plugged


def connected() -> list[Probe]:
    """The probes that pyocd could use now."""
    try:
        found = DebugProbeAggregator.get_all_connected_probes()
    except exceptions.Error as error:
        logging.getLogger(__name__).warning("the debug probes cannot be listed: %s", error)
        return []
    probes = [Probe(unique_id=str(one.unique_id or ""), description=str(one.description)) for one in found]
    return sorted(probes, key=lambda probe: (probe.unique_id, probe.description))


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):
        main()
