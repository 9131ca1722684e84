"""Opens the port that a name leads to: of this host, behind a socket, or behind RFC 2217."""

import asyncio
import io

import serial

from benchwire.flash_agent.ports.file_port import FilePort
from benchwire.flash_agent.ports.port import PORT_ERRORS, Gone, Heard, Port, is_network, shut
from benchwire.flash_agent.ports.thread_port import ThreadPort

_THREAD_WAKES_S = 0.1


async def opened(port: str, baud: int, heard: Heard, gone: Gone) -> Port:
    """Opens ``port``. Raises ``PORT_ERRORS``.

    Whatever came before is not of the board as it is now, and is dropped by pyserial.
    """
    opening = asyncio.ensure_future(asyncio.to_thread(_open, port, baud))
    try:
        device = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_unwanted)
        raise
    try:
        number = device.fileno()
    except io.UnsupportedOperation:
        return ThreadPort(device, heard, gone)
    return FilePort(device, number, heard, gone)


def _unwanted(opening: asyncio.Future[serial.Serial]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        shut(opening.result())


def _open(port: str, baud: int) -> serial.Serial:
    if is_network(port):
        try:
            made: serial.Serial = serial.serial_for_url(port, baud, timeout=_THREAD_WAKES_S)
        except PORT_ERRORS:
            raise
        except Exception as error:
            raise serial.SerialException(f"{error!r}") from error  # pyserial stumbles, see ThreadPort
        return made
    # A second program on the port would take half of the bytes away, so it is opened for us alone.
    return serial.Serial(port, baud, timeout=0, exclusive=True)
