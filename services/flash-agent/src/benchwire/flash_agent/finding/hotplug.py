"""The kernel's word that something was plugged in or pulled out, where pyudev is installed (extra ``udev``). It only makes the agent look
at once: what is there, the look itself says, and it looks without being told, too.
"""

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

SUBSYSTEMS = ("tty", "usb", "block")


@contextlib.contextmanager
def heard(look: Callable[[], None]) -> Iterator[bool]:
    """Calls ``look`` at every change for the time of the context; whether changes are heard of at all. Needs a running event loop."""
    try:
        pyudev = importlib.import_module("pyudev")
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")  # works without udevd
        for subsystem in SUBSYSTEMS:
            monitor.filter_by(subsystem)
        monitor.start()
    except (ImportError, OSError) as error:  # pyudev, libudev or the netlink socket is missing
        log.debug("no hot-plug events: %s", error)
        yield False
        return

    def drain() -> None:
        while monitor.poll(timeout=0) is not None:
            pass
        look()

    loop = asyncio.get_running_loop()
    loop.add_reader(monitor.fileno(), drain)
    try:
        yield True
    finally:
        loop.remove_reader(monitor.fileno())
