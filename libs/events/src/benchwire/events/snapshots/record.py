"""What is said of a copy, and which of several to start from. Pure."""

from collections.abc import Iterable

import msgspec

from benchwire.events.catalog import AGENT, DOCUMENTS, FLASH_AGENT, OBSERVABILITY
from benchwire.events.event import token
from benchwire.events.streams import SNAPSHOTS, Beginning, Origin

SLOTS = 3  # two copies that stand, and the place where the next one comes in
BUCKET = f"OBJ_{SNAPSHOTS}"
_NAMES = {
    OBSERVABILITY: ("observability", "observability-search"),
    DOCUMENTS: ("documents",),
    AGENT: ("agent",),
    FLASH_AGENT: ("flash-agent.{host}",),
}


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the rows of ``projection``, as the code of ``version`` makes them, after the event ``sequence`` of the log ``origin``.

    The first fields are those that every client of object stores knows: ``size`` and ``digest`` (SHA-256, base64) are of the compressed
    bytes. ``file_bytes`` is the size of the file itself. Rows that lack what the log had lost say so in ``lacks``. ``deleted`` is an empty slot.
    """

    name: str
    bucket: str = SNAPSHOTS
    nuid: str
    size: int = 0
    chunks: int = 0
    mtime: str = ""
    digest: str = ""
    deleted: bool = False
    projection: str
    version: int
    origin: str = ""
    sequence: int = 0
    file_bytes: int = 0
    lacks: str = ""


def names_of(part: str, host: str) -> list[str]:
    """The names of the projections that ``part`` has on ``host``; those of most parts are the same everywhere."""
    return [name.format(host=host) for name in _NAMES.get(part, ())]


def empty(projection: str, version: int, slot: int) -> Snapshot:
    """A slot without a copy. ``projection`` is a name, or several with dots between them, like ``flash-agent.host-1``."""
    for part in projection.split("."):
        token(part, "projection")
    place = f"{projection}.{version}.{slot}"
    return Snapshot(name=place.replace(".", "/"), nuid=place, projection=projection, version=version, deleted=True)


def record_of(snapshot: Snapshot) -> str:
    """The subject of its record. Not the usual one, made of the whole name: here a server can tell whose it is, and who may write it."""
    return f"$O.{SNAPSHOTS}.M.{snapshot.nuid}"


def chunks_of(snapshot: Snapshot) -> str:
    """The subject of its bytes."""
    return f"$O.{SNAPSHOTS}.C.{snapshot.nuid}"


def turn_of(projection: str, version: int) -> str:
    """The subject on which those that have the same rows say who copies them."""
    return f"$O.{SNAPSHOTS}.C.{projection}.{version}.turn"


def subjects_of(projection: str) -> tuple[str, str]:
    """All subjects on which whoever has that projection publishes: records, and bytes."""
    return f"$O.{SNAPSHOTS}.M.{projection}.>", f"$O.{SNAPSHOTS}.C.{projection}.>"


def choice(found: Iterable[Snapshot], *, origin: Origin, last: int, beginning: Beginning) -> list[Snapshot]:
    """Those to start from, the best first: of this log, within it, and rather one behind which nothing is missing."""
    fitting = [
        one for one in found if not one.deleted and origin.holds(one.origin, one.sequence) and one.sequence <= last
    ]
    return sorted(fitting, key=lambda one: (is_whole(one, beginning), one.sequence), reverse=True)


def is_whole(snapshot: Snapshot, beginning: Beginning) -> bool:
    """Whether rows that start from it lack nothing."""
    return not snapshot.lacks and not beginning.hides(snapshot.sequence)
