"""Serial ports as clients know them: what they send, the lines they get, captures."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from benchwire.events.live import SerialLine
from benchwire.events.serial import LARGEST_CAPTURE_BYTES, LONGEST_CAPTURE_S
from benchwire.observability.errors import Unusable
from benchwire.observability.queries import Row
from benchwire.observability.wire.frames import encoded, milliseconds

MOST_BYTES = 64 << 10  # of one write; the flash agent's limit


class Sent(msgspec.Struct, kw_only=True):
    """What is to be sent to a board: ``text`` as UTF-8, or bytes in ``hex`` or ``base64``; then ``end``, such as "\\r\\n"."""

    text: str | None = None
    hex: str | None = None
    base64: str | None = None
    end: str = ""
    lease_id: str | None = None

    def data(self) -> bytes:
        """The bytes. Raises ``Unusable``."""
        given = [name for name in ("text", "hex", "base64") if getattr(self, name) is not None]
        if len(given) > 1:
            raise Unusable(f"{' and '.join(given)}: give one of them")
        try:
            data = self._said() + self.end.encode()
        except UnicodeEncodeError:
            raise Unusable("text: it holds half of a character") from None
        if len(data) > MOST_BYTES:
            raise Unusable(f"{MOST_BYTES} bytes are written at once at most; send the rest in further calls")
        return data

    def _said(self) -> bytes:
        if self.hex is not None:
            try:
                return bytes.fromhex(self.hex)
            except ValueError:
                raise Unusable("hex: two digits a byte, such as '01 ff'") from None
        if self.base64 is not None:
            try:
                return base64.b64decode(self.base64, validate=True)
            except (binascii.Error, ValueError):
                raise Unusable("base64: it is none") from None
        return (self.text or "").encode()


class WriteSerial(Sent, kw_only=True):
    """Body of ``POST /api/devices/{id}/serial``. With ``until``, a regular expression (RE2 syntax), the call waits for a line that matches."""

    until: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0


class StartCapture(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/devices/{id}/captures``; ``until`` ends it as soon as a line matches."""

    for_s: Annotated[float, Meta(gt=0, le=LONGEST_CAPTURE_S)] = 60.0
    max_bytes: Annotated[int, Meta(ge=1, le=LARGEST_CAPTURE_BYTES)] = 16 << 20
    until: str | None = None
    tags: list[str] = []


def serial_frame(sample: SerialLine) -> str:
    """A line that a board printed."""
    place = {"type": "serial_line", "deviceId": sample.device, "host": sample.host}
    return encoded({**place, **line_view(sample)})


def line_view(sample: SerialLine) -> dict[str, Any]:
    """A line, as in ``GET /api/devices/{id}/serial``. ``data`` is base64 of the exact bytes, where these are not UTF-8."""
    return {
        "line": sample.line,
        "number": sample.number,
        "jobId": sample.job_id,
        "timestamp": milliseconds(sample.timestamp),
        "lostBytes": sample.lost_bytes,
        "data": None if sample.data is None else base64.b64encode(sample.data).decode(),
    }


def written_frame(row: Row, written: int, now: datetime) -> str:
    """So many bytes were sent to the board."""
    told = {"type": "written", "deviceId": row["device"], "host": row["host"], "written": written}
    return encoded({**told, "timestamp": milliseconds(now)})


def capture_view(row: Row) -> dict[str, Any]:
    """A capture, as in ``GET /api/captures/{id}``."""
    return {
        "capture_id": row["capture_id"],
        "state": row["state"],
        "host": row["host"],
        "device_id": row["device"],
        "for_s": row["for_s"],
        "max_bytes": row["max_bytes"],
        "until": row["until"],
        "tags": msgspec.json.decode(row["tags"]),
        "requested_at": row["requested_at"],
        "ended_at": row["ended_at"],
        "reason": row["reason"],
        "size_bytes": row["size_bytes"],
        "lost_bytes": row["lost_bytes"],
        "artifact_id": row["digest"],
        "document_id": row["document_id"],
    }
