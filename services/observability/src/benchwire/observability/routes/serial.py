"""Serial ports: what boards print, what is sent to them, and captures of all of it."""

from typing import Annotated, Any

import msgspec
from litestar import get, post, websocket
from litestar.params import JSONBody, QueryParameter

from benchwire.events.patterns import Pattern
from benchwire.observability import errors
from benchwire.observability.boards import finding, serial
from benchwire.observability.feeds import SERIAL, of_device
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row
from benchwire.observability.routes.calls import leaving, made_id
from benchwire.observability.routes.params import AnyRequest, Id, Text, TheLab, Wait
from benchwire.observability.wire import answers, examples, frames
from benchwire.observability.wire import serial as wire
from benchwire.observability.wire.faces.serial import SerialWrite
from benchwire.web.described import described
from benchwire.web.feed import Client, Socket, last_words
from benchwire.web.scopes import lacking, may, name_of
from benchwire.web.tokens import Scope

NOT_FOUND = 4404
_A_WRITE = 'a frame must be like {"type": "write", "text": "help", "end": "\\r\\n"}'

MostLines = Annotated[int, QueryParameter(ge=1, le=1000)]


@get("/api/devices/{device_id:str}/serial", opt=described(answers=answers.PrintedLines))
async def read_serial(lab: TheLab, device_id: Id, host: Text = None, limit: MostLines = 100) -> dict[str, Any]:
    """The last lines that a board printed, of those that are still kept: an hour's at most."""
    row = await finding.named(lab, device_id, host)
    return {"lines": [wire.line_view(one) for one in await serial.recent(lab, row, limit)]}


@post(
    "/api/devices/{device_id:str}/serial",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.SERIAL, answers=answers.SerialWritten, refuses=(409,)),
)
async def write_serial(
    lab: TheLab, request: AnyRequest, device_id: Id, data: JSONBody[wire.WriteSerial], host: Text = None
) -> dict[str, Any]:
    """Sends bytes to a board, waits for a line that matches ``until``, or both, in this order.

    The wait begins before the first byte is sent, so no answer is too quick for it; a line is what ends with a line feed, or what stands for half
    a second without one, as a prompt does. A wait that ends without a match is no error: ``matched`` is false then.
    """
    sent = data.data()
    pattern = None if data.until is None else Pattern(data.until)
    if not sent and pattern is None:
        raise errors.Unusable("text: give text, hex or base64 to send, or until to wait for")
    row = await finding.named(lab, device_id, host)
    after = 0 if pattern is None else await serial.here(lab)
    written = await serial.written(lab, row, sent, lease_id=data.lease_id, by=name_of(request)) if sent else 0
    answer: dict[str, Any] = {"ok": True, "written": written, "matched": None, "line": None, "groups": [], "lines": []}
    if pattern is None:
        return answer
    async with leaving(request) as left:
        heard = await serial.waited(lab, row, pattern, after=after, within_s=data.timeout_s, left=left)
    line = None if heard.line is None else heard.line.line
    lines = [one.line for one in heard.lines]
    return {**answer, "matched": heard.line is not None, "line": line, "groups": heard.groups, "lines": lines}


@post(
    "/api/devices/{device_id:str}/captures",
    status_code=202,
    opt=described(scope=Scope.CONTROL, example=examples.CAPTURE, answers=answers.OneCapture),
)
async def start_capture(
    lab: TheLab, request: AnyRequest, device_id: Id, data: JSONBody[wire.StartCapture], host: Text = None
) -> dict[str, Any]:
    """Keeps everything that a board prints from now on, byte for byte, in a document with the capture's id.

    It ends when ``for_s`` is over, a line matches ``until``, or ``max_bytes`` are there. What is printed while a flash tool has the port is the
    tool's. Repeated with the same ``Idempotency-Key`` it is the same capture.
    """
    row = await finding.named(lab, device_id, host)
    capture_id = made_id("cap_", request)
    return {"capture": wire.capture_view(await serial.begun(lab, row, data, capture_id))}


@get("/api/captures/{capture_id:str}", opt=described(answers=answers.OneCapture))
async def get_capture(lab: TheLab, request: AnyRequest, capture_id: Id, wait_s: Wait = 0.0) -> dict[str, Any]:
    """One capture; with ``wait_s`` as soon as its document is there, or it has failed."""
    async with leaving(request) as left:
        return {"capture": wire.capture_view(await serial.settled(lab, capture_id, within_s=wait_s, left=left))}


@post(
    "/api/captures/{capture_id:str}/stop",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.OneCapture, refuses=(409,)),
)
async def stop_capture(lab: TheLab, request: AnyRequest, capture_id: Id) -> dict[str, Any]:
    """Ends a capture with what it has. It is still ``running`` in the answer when its host did not end it within some seconds."""
    async with leaving(request) as left:
        return {"capture": wire.capture_view(await serial.stopped(lab, capture_id, left=left))}


# As it happens


async def _from_now_on(client: Client) -> None:
    client.open()


@websocket("/ws/serial")
async def all_serial(socket: Socket, lab: TheLab) -> None:
    """What boards print, from now on."""
    await lab.feed.attend(socket, SERIAL, _from_now_on)


@websocket("/ws/serial/{device_id:str}")
async def device_serial(socket: Socket, lab: TheLab, device_id: Id) -> None:
    """What one board prints, from now on. With the scope ``control`` the client may send ``{"type": "write", "text": …}``."""
    try:
        row = await finding.named(lab, device_id, socket.query_params.get("host") or None)
    except errors.SAYABLE as error:
        await last_words(socket, frames.refused(str(error), lab.now()), code=NOT_FOUND, reason=str(error))
        return

    async def on_text(text: str) -> str:
        return await _written(lab, row, text, socket)

    await lab.feed.attend(socket, of_device(row["host"], row["device"]), _from_now_on, on_text)


async def _written(lab: Lab, row: Row, text: str, socket: Socket) -> str:
    """Does what a frame says, and makes the frame that answers it."""
    if not may(socket, Scope.CONTROL):
        return frames.refused(lacking(Scope.CONTROL), lab.now())
    try:
        sent = msgspec.json.decode(text, type=SerialWrite)
        data = sent.data()
        if not data:
            raise errors.Unusable(_A_WRITE)
        written = await serial.written(lab, row, data, lease_id=sent.lease_id, by=name_of(socket))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return frames.refused(_A_WRITE, lab.now())
    except errors.SAYABLE as error:
        return frames.refused(str(error), lab.now())
    return wire.written_frame(row, written, lab.now())


ROUTES = [
    read_serial,
    write_serial,
    start_capture,
    get_capture,
    stop_capture,
    all_serial,
    device_serial,
]
