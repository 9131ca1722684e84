"""A hand on a board: its reset line, the pin that keeps it in its loader, its supply.

What a person configured comes first; then a virtual board's control socket; then the modem lines of the serial port, or the debug probe.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import serial

from benchwire.boards.profile import Pyocd
from benchwire.events import child
from benchwire.events.asks import Do
from benchwire.flash_agent.errors import ResetFailed
from benchwire.flash_agent.inventory import Board
from benchwire.flash_agent.probes import Device, known_of

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 5.0
PROBE_TIMEOUT_S = 15.0
HEARD_S = 0.5
LAST_WORDS = 400  # characters

# DTR, RTS, and for how long. On boards with an auto-program circuit RTS pulls EN low and DTR IO0 ("Boot Mode Selection", esptool documentation).
_INTO_APP = ((False, True, 0.1), (False, False, 0.0))
_INTO_LOADER = ((False, True, 0.1), (True, False, 0.05), (False, False, 0.0))
# The USB-Serial/JTAG of an ESP32-S3 or C3 has no such circuit, but takes certain changes of the lines for one.
_USB_INTO_LOADER = ((False, False, 0.1), (True, False, 0.1), (True, True, 0.0), (False, True, 0.1), (False, False, 0.0))
_USB_SERIAL_JTAG = ("303a", "1001")


async def lay_hand(board: Board, do: Do, *, job_id: str | None = None, is_esp: bool = False) -> None:
    """Does ``do``; what the board then prints belongs to ``job_id``. Raises ``ResetFailed`` with the reason, also when it has no way to do it.

    ``is_esp`` says that esptool flashes the board, for one of which nobody else said so.
    """
    device = board.device
    if board.console is not None:
        board.console.booting(job_id)
    if command := device.hooks.for_(do):
        await _commanded(command, do, device.hooks.timeout_s)
    elif device.control is not None:
        await _told(device.control, do)
    elif do in ("power_on", "power_off"):
        raise ResetFailed(f"nothing switches the supply of {device.name}: configure a hook {do} for it")
    elif is_esp or device.driver == "esptool":
        await _pulled(board, do)
    elif device.driver == "pyocd" and device.probe is not None and do == "reset":
        await _through_probe(device)
    else:
        raise ResetFailed(f"nothing can {_DOES[do]} {device.name}: configure a hook {do} for it")


@contextlib.asynccontextmanager
async def in_loader(board: Board, *, goes_back: Callable[[], bool], lends_port: bool = True) -> AsyncIterator[None]:
    """Whoever is in the context has the board's serial port, and the board is in its loader, if it has to be brought there by a hand.

    Afterwards the monitor reads the port again, whatever happened; a board that was left as it was (``goes_back``) runs on with what it had.
    Without ``lends_port`` the monitor goes on all the time: the loader is reached in another way. Raises ``ResetFailed``.
    """
    console = board.console if lends_port else None
    if console is not None:
        console.release()
    try:
        if board.device.hooks.download or board.device.control is not None:
            await lay_hand(board, "download")
        yield
    finally:
        resumes = console is not None and not console.is_open
        if not board.gone.is_set() and (resumes or not lends_port):
            if console is not None:
                await console.resume(timeout_s=0.5)
            if goes_back():
                await _back_to_before(board)


async def _back_to_before(board: Board) -> None:
    try:
        await lay_hand(board, "reset", is_esp=True)
    except ResetFailed as error:
        log.warning("%s stays in its loader: %s", board.device.name, error)


_DOES: dict[Do, str] = {
    "reset": "reset",
    "download": "bring into its loader",
    "power_on": "switch on",
    "power_off": "switch off",
}


async def _commanded(command: list[str], do: str, timeout_s: float) -> None:
    """Runs a command of the lab's own, which has to end in time and with 0."""
    try:
        async with (
            asyncio.timeout(timeout_s),
            child.spawn(command, cwd="/", stdout=child.DEVNULL, stderr=child.PIPE, grace_s=0.3) as process,
        ):
            assert process.stderr is not None
            listening = asyncio.create_task(process.stderr.read())
            try:
                code = await child.exited(process)
                await asyncio.wait([listening], timeout=HEARD_S)  # something that it left running may keep the pipe
            finally:
                listening.cancel()
            said = listening.result().decode(errors="replace").strip() if listening.done() else ""
    except TimeoutError:
        raise ResetFailed(f"{command[0]} ({do}) did not end within {timeout_s:g} s, and was stopped") from None
    except OSError as error:
        raise ResetFailed(f"{command[0]} ({do}) cannot be run: {error}") from error
    if code != 0:
        raise ResetFailed(f"{command[0]} ({do}) ended with {code}: {said[-LAST_WORDS:] or 'it said nothing'}")


async def _told(control: str, do: Do) -> None:
    """Asks a virtual board: one JSON object per line each way."""
    commands: dict[Do, dict[str, Any]] = {
        "reset": {"do": "reset", "mode": "run"},
        "download": {"do": "reset", "mode": "download"},
        "power_on": {"do": "power", "on": True},
        "power_off": {"do": "power", "on": False},
    }
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            answer = await _asked(control, commands[do])
    except TimeoutError:
        raise ResetFailed(f"the board did not answer within {ANSWER_TIMEOUT_S:g} s when asked to {_DOES[do]}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise ResetFailed(f"the board could not be asked to {_DOES[do]}: {error}") from error
    if not answer.get("ok"):
        raise ResetFailed(f"the board refused to {_DOES[do]}: {answer.get('error')}")


async def _asked(control: str, command: dict[str, Any]) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(control)
    try:
        writer.write(msgspec.json.encode(command) + b"\n")
        await writer.drain()
        return msgspec.json.decode(await reader.readline(), type=dict[str, Any])
    finally:
        writer.close()


async def _pulled(board: Board, do: Do) -> None:
    """Moves the modem lines of the board's serial port."""
    device, console = board.device, board.console
    if console is None or device.port is None:
        raise ResetFailed(f"{device.name} has no port to reset it through")
    if device.port.startswith("socket://"):
        raise ResetFailed(f"{device.port} carries no modem lines: configure a hook {do} for {device.name}, or rfc2217")
    on_chip = (device.vid, device.pid) == _USB_SERIAL_JTAG
    into_loader = _USB_INTO_LOADER if on_chip else _INTO_LOADER
    try:
        await console.pull_lines(into_loader if do == "download" else _INTO_APP)
    except (serial.SerialException, OSError) as error:
        raise ResetFailed(f"{device.name} could not be reset: {error}") from error


async def _through_probe(device: Device) -> None:
    profile = known_of(device.profile)
    target = profile.driver.target if profile is not None and isinstance(profile.driver, Pyocd) else "cortex_m"
    reset = [sys.executable, "-m", "pyocd", "reset", "--uid", str(device.probe), "--target", target]
    await _commanded([*reset, "--no-config", "-W"], "reset", PROBE_TIMEOUT_S)
