"""What boards print, and what is sent to them."""

import asyncio
from typing import Annotated

from msgspec import Meta
from nats.errors import Error as NatsError

from benchwire.agent.errors import ToolFailed
from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.toolbox.boards import Boards, DeviceName, Host
from benchwire.agent.toolbox.inputs import Input, tool
from benchwire.agent.toolbox.leases import Leases
from benchwire.agent.toolbox.place import Place
from benchwire.events import expect
from benchwire.events.asks import Refused, SerialAccepted, WriteSerial
from benchwire.events.bus import LIVE
from benchwire.events.catalog import filter_of
from benchwire.events.follow import Message, newest
from benchwire.events.live import SerialLine
from benchwire.events.patterns import BadPattern, Pattern

MAX_LINES = 500
MAX_OUTPUT_CHARS = 32 * 1024
MAX_WAIT_S = 600.0
MAX_WRITE_CHARS = 16 * 1024  # each may take four bytes, and a flash agent takes 64 KiB
WRITE_S = 30.0  # a port that takes its bytes slowly is given up after 20 s
LINES_OF_A_SILENCE = 20


class ReadSerial(Input, frozen=True, kw_only=True):
    """Shows the last lines that a board printed, the newest last; those of the last hour are kept."""

    device: DeviceName
    host: Host = None
    lines: Annotated[int, Meta(ge=1, le=MAX_LINES)] = 50


class WriteSerialLine(Input, frozen=True, kw_only=True):
    """Sends text to a board's serial port. A line end is added unless newline is false. Nobody else may have leased the board."""

    device: DeviceName
    host: Host = None
    text: Annotated[str, Meta(max_length=MAX_WRITE_CHARS)]
    newline: bool = True


class WaitForLine(Input, frozen=True, kw_only=True):
    """Waits until a board prints a line in which a regular expression (RE2 syntax) is found. Lines count that came since this session's last
    flash_device or write_serial to the board, or after the line that the last wait_for_line found; else from now on.
    """

    device: DeviceName
    host: Host = None
    pattern: str
    timeout_s: Annotated[float, Meta(gt=0, le=MAX_WAIT_S)] = 15.0


class Serial:
    """A session's view of serial ports: for each board, from where on what is printed is new to the session."""

    def __init__(self, place: Place, boards: Boards, held: Leases) -> None:
        self._place = place
        self._boards = boards
        self._leases = held
        self._new_after: dict[tuple[str, str], int] = {}

    async def mark(self, host: str, device: str) -> None:
        """What the board prints after this call is new to the session. Raises ``LogUnavailable``."""
        self._new_after[host, device] = await self._place.lab.last_sample()

    async def mark_boot(self, host: str, device: str, job_id: str) -> None:
        """What the board has printed since the flash job is new to the session, also what it printed while nobody listened."""
        await self.mark(host, device)
        printed = filter_of(SerialLine, host=host, device=device)
        for message in await _newest(self._place, printed, MAX_LINES):
            line = expect.line_of(message)
            if line is not None and line.job_id == job_id:
                self._new_after[host, device] = message.sequence - 1
                return

    async def read(self, asked: ReadSerial, _: str) -> str:
        """The tool read_serial."""
        board = await self._boards.found(asked.device, asked.host)
        printed = filter_of(SerialLine, host=board.host, device=board.device)
        messages = await _newest(self._place, printed, asked.lines)
        lines = [line for message in messages if (line := expect.line_of(message)) is not None]
        return _written(lines) or f"{board.device} on {board.host} printed nothing in the last hour"

    async def write(self, asked: WriteSerialLine, _: str) -> str:
        """The tool write_serial."""
        board = await self._boards.found(asked.device, asked.host)
        lease_id = await self._leases.of(board)
        data = (asked.text + ("\n" if asked.newline else "")).encode(errors="replace")
        await self.mark(board.host, board.device)
        request = WriteSerial(
            host=board.host, device=board.device, data=data, lease_id=lease_id, by=f"session:{self._place.session_id}"
        )
        subject = f"ask.host.{board.host}.write_serial"
        answer = await self._place.lab.bus.ask(subject, request, SerialAccepted, timeout_s=WRITE_S)
        if isinstance(answer, Refused):
            raise ToolFailed(answer.detail)
        return f"{answer.written} bytes were sent to {board.device} on {board.host}"

    async def wait(self, asked: WaitForLine, _: str) -> str:
        """The tool wait_for_line."""
        board = await self._boards.found(asked.device, asked.host)
        try:
            pattern = await asyncio.to_thread(Pattern, asked.pattern)
        except BadPattern as error:
            raise ToolFailed(str(error)) from error
        key = (board.host, board.device)
        if key not in self._new_after:
            await self.mark(*key)
        heard = await expect.expected(
            self._place.lab.bus, *key, pattern, after=self._new_after[key], within_s=asked.timeout_s
        )
        if heard.line is None:
            raise ToolFailed(_silence(board.device, asked, heard.lines))
        self._new_after[key] = heard.after
        groups = f"\ngroups: {heard.groups}" if heard.groups else ""
        return f"{_written(heard.lines)}{groups}"


def tools(calls: Calls, serial: Serial) -> list[Tool]:
    """Those that are about what boards print."""
    return [
        tool(calls, "read_serial", ReadSerial, serial.read, repeatable=True),
        tool(calls, "write_serial", WriteSerialLine, serial.write),
        tool(calls, "wait_for_line", WaitForLine, serial.wait, repeatable=True),
    ]


async def _newest(place: Place, printed: str, most: int) -> list[Message]:
    try:
        return await newest(place.lab.bus, printed, most, stream=LIVE)
    except (NatsError, OSError, TimeoutError) as error:
        raise ToolFailed(f"the lines cannot be read at the moment: {error or type(error).__name__}") from error


def _silence(device: str, asked: WaitForLine, heard: list[SerialLine]) -> str:
    said = f"it printed:\n{_written(heard[-LINES_OF_A_SILENCE:])}" if heard else "it printed nothing"
    return f"{device} printed no line that matches {asked.pattern!r} within {asked.timeout_s:g} s; {said}"


def _written(lines: list[SerialLine]) -> str:
    """The lines, one each; of too many, the last."""
    text = "\n".join(line.line for line in lines)
    return text if len(text) <= MAX_OUTPUT_CHARS else f"[earlier lines are not shown]\n{text[-MAX_OUTPUT_CHARS:]}"
