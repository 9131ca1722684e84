"""Serial ports: sending to a board, waiting for what it prints, and keeping all of it."""

import asyncio

from benchwire.events import asks, expect
from benchwire.events.bus import LIVE
from benchwire.events.catalog import FLASH_AGENT, filter_of
from benchwire.events.event import token
from benchwire.events.expect import Expected
from benchwire.events.follow import newest
from benchwire.events.live import SerialLine
from benchwire.events.log import SILENT, LogUnavailable
from benchwire.events.patterns import Pattern
from benchwire.observability import capture, commands, errors, queries
from benchwire.observability.boards import finding, hands
from benchwire.observability.boards.waiting import either
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row
from benchwire.observability.wire.serial import StartCapture

WRITE_WITHIN_S = 25.0  # the flash agent gives a port 20 s
STOP_WITHIN_S = 3.0


async def written(lab: Lab, row: Row, data: bytes, *, lease_id: str | None, by: str | None) -> int:
    """Has the board's host send ``data``; how many bytes that were. Raises ``DeviceTaken``, ``HostRefused`` and ``HostSilent``."""
    finding.mind_lease(lab, row, lease_id)
    ask = asks.WriteSerial(host=row["host"], device=row["device"], data=data, lease_id=lease_id, by=by)
    answer = await hands.asked(lab, row["host"], "write_serial", ask, asks.SerialAccepted, within_s=WRITE_WITHIN_S)
    return answer.written


async def here(lab: Lab) -> int:
    """The point from which on ``waited`` looks. Raises ``LogUnavailable``."""
    try:
        return await expect.here(lab.bus)
    except (OSError, TimeoutError) as error:
        raise LogUnavailable(SILENT) from error


async def waited(lab: Lab, row: Row, pattern: Pattern, *, after: int, within_s: float, left: asyncio.Event) -> Expected:
    """Waits for a line that matches; not longer than somebody is there to be told (``left``)."""
    waiting = asyncio.create_task(
        expect.expected(lab.bus, row["host"], row["device"], pattern, after=after, within_s=within_s)
    )
    leaving = asyncio.create_task(left.wait())
    try:
        await asyncio.wait([waiting, leaving], return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else Expected(None, [], [])
    finally:
        for task in (waiting, leaving):
            task.cancel()
        await asyncio.wait([waiting, leaving])


async def recent(lab: Lab, row: Row, limit: int) -> list[SerialLine]:
    """The last lines that the board printed, as far as samples are kept. Raises ``LogUnavailable``."""
    printed = filter_of(SerialLine, host=row["host"], device=row["device"])
    try:
        found = await newest(lab.bus, printed, limit, stream=LIVE)
    except (OSError, TimeoutError) as error:
        raise LogUnavailable(SILENT) from error
    return [line for message in found if (line := expect.line_of(message)) is not None]


# Captures


async def begun(lab: Lab, row: Row, asked: StartCapture, capture_id: str) -> Row:
    """Asks the board's host for a capture. Raises ``Unusable``, ``BadPattern`` and ``HostSilent``."""
    event = commands.request_capture(
        capture_id=capture_id, host=row["host"], device=row["device"], for_s=asked.for_s, max_bytes=asked.max_bytes,
        until=asked.until, tags=asked.tags, now=lab.now(),
    )  # fmt: skip
    if await lab.present.is_gone(FLASH_AGENT, row["host"]):
        raise errors.HostSilent(row["host"], within_s=None)
    await lab.write(event, event_id=f"{capture_id}-requested")
    return await known(lab, capture_id)


async def known(lab: Lab, capture_id: str) -> Row:
    """The capture of that id. Raises ``CaptureUnknown``."""
    token(capture_id, "capture_id")
    return await lab.found(lambda db: queries.capture(db, capture_id), errors.CaptureUnknown(capture_id))


async def settled(lab: Lab, capture_id: str, *, within_s: float, left: asyncio.Event) -> Row:
    """The capture once it has failed, or has its document; or as it is when the time is up. Raises ``CaptureUnknown``."""
    end = asyncio.get_running_loop().time() + within_s
    with lab.endings.watched(f"capture {capture_id}") as news:
        while True:
            news.clear()
            row = await known(lab, capture_id)
            left_s = end - asyncio.get_running_loop().time()
            if row["state"] == capture.FAILED or row["document_id"] is not None or left_s <= 0 or left.is_set():
                return row
            await either(news, left, within_s=left_s)


async def stopped(lab: Lab, capture_id: str, *, left: asyncio.Event) -> Row:
    """Has the capture ended, and waits a little for that. Raises ``CaptureUnknown`` and ``CaptureOver``."""
    row = await known(lab, capture_id)
    event = commands.stop_capture(capture_id=capture_id, host=row["host"], state=row["state"], now=lab.now())
    await lab.write(event)
    return await settled(lab, capture_id, within_s=STOP_WITHIN_S, left=left)
