"""Which board is meant: by its name, by its port, or by what it has to be like."""

from functools import partial

from benchwire.events.catalog import FLASH_AGENT
from benchwire.observability import commands, errors, lease, queries
from benchwire.observability.commands import Candidate
from benchwire.observability.lab import Lab
from benchwire.observability.lease import Wish
from benchwire.observability.queries import Row
from benchwire.observability.session import iso


async def named(lab: Lab, name: str, host: str | None = None) -> Row:
    """The attached board that ``name`` means: a device's name, ``host/name``, or its port, as it is listed.

    Raises ``DeviceUnknown`` and ``DeviceAmbiguous``.
    """
    before, slash, last = name.rpartition("/")
    found = await lab.read(partial(queries.devices, device=last, host=before if slash else host))
    if not found:
        found = await lab.read(partial(queries.devices, port=name, host=host))
    if not found:
        raise errors.DeviceUnknown(name)
    if len(found) > 1:
        raise errors.DeviceAmbiguous(name, [f"{row['host']}/{row['device']}" for row in found])
    return found[0]


async def meant_for(lab: Lab, node_id: str, board: str, name: str, host: str | None = None) -> Row:
    """The attached board that ``name`` means, for a node that is for ``board``. Raises ``Unusable``, and as ``named`` does."""
    if not board:
        raise errors.Unusable(f"node {node_id!r} is a module of code, which goes onto no board")
    row = await named(lab, name, host)
    if row["profile"] not in (None, board, commands.board_named(board)):
        raise errors.Unusable(
            f"node {node_id!r} is for {board}, and {row['device']} on {row['host']} is {row['profile']}"
        )
    return row


async def like(lab: Lab, wish: Wish) -> list[Row]:
    """The attached boards that are as ``wish`` says."""
    found = await lab.read(partial(queries.devices, host=wish.host, device=wish.device, profile=wish.profile))
    return [row for row in found if lease.fits(queries.board(row), wish)]


async def free(lab: Lab, wish: Wish, *, only_idle: bool = False) -> Row:
    """The one of them that nobody holds and that can begin first. Raises ``NoBoardFree``.

    It is free for who asks now; what is to stay free for somebody is leased.
    """
    rows = await like(lab, wish)
    there = await lab.present.names(FLASH_AGENT)
    now = iso(lab.now())
    jobs_of_host: dict[str, int] = {}
    for row in rows:
        jobs_of_host[row["host"]] = jobs_of_host.get(row["host"], 0) + row["open_jobs"]
    candidates = [
        Candidate(
            host=row["host"], device=row["device"], is_up=there is None or row["host"] in there, holder=queries.holder(row, now),
            jobs=row["open_jobs"], jobs_of_host=jobs_of_host[row["host"]],
        )
        for row in rows
    ]  # fmt: skip
    chosen = commands.choose_board(candidates, wish, only_idle=only_idle)
    return next(row for row in rows if (row["host"], row["device"]) == (chosen.host, chosen.device))


def mind_lease(lab: Lab, row: Row, given: str | None, *, by: str | None = None) -> None:
    """Raises ``DeviceTaken`` when the board is somebody else's: the lease is not ``given``, and not held by ``by``.

    The board's host decides; this only spares the way there.
    """
    holder = queries.holder(row, iso(lab.now()))
    if holder is not None and row["lease_id"] != given and holder != by:
        raise errors.DeviceTaken(row["host"], row["device"], holder, row["lease_expires_at"])
