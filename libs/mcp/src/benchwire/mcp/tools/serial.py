"""What boards print, and what is sent to them."""

from typing import Annotated

from pydantic import Field

from benchwire.mcp.reach import Ctx, of_lab
from benchwire.mcp.shapes import MOST_LINES, Answer, Lines, newest
from benchwire.mcp.tools.kinds import DeviceName, Host, LeaseId, changes, reads

_LONGEST_S = 50.0  # of one call of the lab

Within = Annotated[float, Field(gt=0, le=_LONGEST_S, description="how many seconds to wait for it")]


async def read_serial(
    ctx: Ctx, device: DeviceName, host: Host = None, lines: Annotated[int, Field(ge=1, le=MOST_LINES)] = 50
) -> Lines:
    """The last lines that a board printed, of the last hour."""
    found = await of_lab(ctx, lambda lab: lab.printed(device, host=host, limit=lines))
    return Lines(lines=newest(one.line for one in found))


async def wait_for_line(
    ctx: Ctx,
    *,
    device: DeviceName,
    pattern: Annotated[str, Field(description="a regular expression (RE2) that a line has to match somewhere")],
    host: Host = None,
    timeout_s: Within = 10.0,
) -> Answer:
    """Waits for a line that a board prints from now on. matched is false when none came in time; what was heard is in lines. For what a board
    printed before, use read_serial; for what it prints after flashing, expect of flash_device.
    """
    return await _asked(ctx, device, host, until=pattern, timeout_s=timeout_s)


async def write_serial(
    ctx: Ctx,
    *,
    device: DeviceName,
    text: str,
    end: Annotated[str, Field(description="what is sent behind the text", max_length=16)] = "\r\n",
    host: Host = None,
    until: Annotated[str | None, Field(description="wait for a line that matches this regular expression (RE2)")] = None,
    timeout_s: Within = 10.0,
    lease_id: LeaseId = None,
) -> Answer:  # fmt: skip
    """Sends text to a board's serial port and, with until, waits for its answer; no answer is too quick for that."""
    return await _asked(ctx, device, host, text=text, end=end, until=until, timeout_s=timeout_s, lease_id=lease_id)


async def _asked(ctx: Ctx, device: str, host: str | None, **asked: object) -> Answer:
    heard = await of_lab(ctx, lambda lab: lab.write(device, host=host, **asked))
    return Answer.of(heard, lines=newest(heard.lines))


TOOLS = [reads(read_serial), reads(wait_for_line), changes(write_serial)]
