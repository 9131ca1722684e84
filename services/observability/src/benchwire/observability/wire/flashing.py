"""What clients ask for when a board is to be flashed: as JSON, as the fields of a form, or in the query."""

from collections.abc import Iterable
from typing import Any

import msgspec

from benchwire.events.flash import FlashOptions, ImageFormat
from benchwire.observability.errors import Unusable
from benchwire.observability.wire.leasing import labels_of

_OPTION = "options."
_LABELS = ("label", "labels")
_AS_JSON = ("options", "parts")


class StartPart(msgspec.Struct, kw_only=True):
    """One of several files, by artifact digest or by document, and where it goes: a number, or like ``"0x10000"``."""

    address: int | str
    artifact_id: str | None = None
    document_id: str | None = None


class StartFlash(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/flash/start``: a device, and its firmware by artifact digest or by document.

    Instead of a device: what it has to be like (``profile``, ``labels``), and a free one is taken. ``address`` is a number, or like
    ``"0x8000000"``; ``options`` are those of ``flash_requested``. In a form the firmware is a file, and all else are text fields.
    """

    device_id: str | None = None
    device_id_camel: str | None = msgspec.field(default=None, name="deviceId")
    host: str | None = None
    profile: str | None = None
    labels: dict[str, str] = {}
    artifact_id: str | None = None
    artifact_id_camel: str | None = msgspec.field(default=None, name="artifactId")
    document_id: str | None = None
    document_id_camel: str | None = msgspec.field(default=None, name="documentId")
    parts: list[StartPart] = []
    format: ImageFormat | None = None
    partition: str | None = None
    address: int | str | None = None
    options: FlashOptions = msgspec.field(default_factory=FlashOptions)
    priority: int = 0
    retries: int = 0
    timeout_s: float | None = None
    max_bytes_per_s: int | None = None
    lease_id: str | None = None
    session_id: str | None = None

    def __post_init__(self) -> None:
        self.device_id = self.device_id or self.device_id_camel
        self.artifact_id = self.artifact_id or self.artifact_id_camel
        self.document_id = self.document_id or self.document_id_camel


class Throttle(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/flash/jobs/{id}/throttle``: how many bytes a second the job may write; null lifts the limit."""

    max_bytes_per_s: int | None


class DeployNode(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/deploy/flash``: a node of a task, and the board by its ``port`` or name; without one a free board is taken.

    ``session_id`` is another word for the task's id.
    """

    node_id: str
    task_id: str | None = None
    session_id: str | None = None
    port: str | None = None
    device_id: str | None = None
    host: str | None = None
    lease_id: str | None = None


class AssignNode(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/deploy/{id}/assign/{port}``: the node that the board is for; a build of one node needs none."""

    node_id: str | None = None
    host: str | None = None


class DeployTask(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/deploy/flash-all``: a task that has ended, all nodes of which go to boards that are free."""

    task_id: str | None = None
    session_id: str | None = None


def of_json(body: bytes) -> StartFlash:
    """The body of a call; an empty one asks for nothing that the query does not say. Raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(body, type=StartFlash) if body.strip() else StartFlash()


def of_fields(pairs: Iterable[tuple[str, str]]) -> StartFlash:
    """What the text fields of a form, or a query, ask for: ``label=rack=2`` and ``options.erase=chip`` among them.

    Empty ones count as left out. Raises ``Unusable``, also for one that nobody knows: a job without what was meant by it would flash
    otherwise than was asked. Raises ``msgspec.MsgspecError``.
    """
    found: dict[str, Any] = {}
    options: dict[str, str] = {}
    labels: list[str] = []
    for name, value in pairs:
        if not value:
            continue
        if name in _LABELS:
            labels.append(value)
        elif name.startswith(_OPTION):
            options[name.removeprefix(_OPTION)] = value
        elif name in _AS_JSON:
            found[name] = _json(name, value)
        else:
            found[name] = value
    if labels:
        found["labels"] = labels_of(labels)
    if options or "options" in found:
        found["options"] = {**_object(found.get("options", {})), **options}
        _check_names(found["options"], FlashOptions, _OPTION)
    _check_names(found, StartFlash)
    return msgspec.convert(found, StartFlash, strict=False)


def _check_names(given: Iterable[str], kind: type[msgspec.Struct], prefix: str = "") -> None:
    fields = msgspec.structs.fields(kind)
    for name in given:
        if name not in {one.encode_name for one in fields}:
            known = ", ".join(prefix + one.name for one in fields if one.name == one.encode_name)
            raise Unusable(f"{prefix}{name[:60]}: there is no such field; there are {known}")


def _json(name: str, value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise Unusable(f"{name}: the field must hold JSON") from None


def _object(options: Any) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise Unusable("options: the field must hold a JSON object")
    return options


def merged(body: StartFlash, query: StartFlash) -> StartFlash:
    """What both say together; where they differ, the body counts."""
    unsaid = StartFlash()
    names = [one.name for one in msgspec.structs.fields(StartFlash)]
    given = {name: value for name in names if (value := getattr(body, name)) != getattr(unsaid, name)}
    return msgspec.structs.replace(query, **given)


def address_of(given: int | str, name: str = "address") -> int:
    """An address as a number, however it was written. Raises ``Unusable``."""
    try:
        number = given if isinstance(given, int) else int(given, 0)
    except ValueError:
        raise Unusable(f"{name}: {str(given)[:40]!r} is not an address; write it like 65536 or 0x10000") from None
    if not 0 <= number < 1 << 32:
        raise Unusable(f"{name}: it must fit into 32 bits")
    return number
