"""Boards given to the nodes of a build, and taken back."""

from benchwire.observability import errors, queries
from benchwire.observability.boards import finding
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row, TaskView


async def assign(lab: Lab, view: TaskView, node_id: str | None, name: str, host: str | None) -> None:
    """Gives the board that ``name`` means to a node; a build of one node needs no name of it. Raises ``Unusable`` and ``DeviceUnknown``."""
    node = _node(view, node_id)
    row = await _board(lab, name, host)
    row = await finding.meant_for(lab, node["node_id"], node["board"], row["device"], row["host"])
    lab.assigned.put(node["task_id"], node["node_id"], (row["host"], row["device"]))


async def unassign(lab: Lab, view: TaskView, name: str, host: str | None) -> None:
    """Takes the board back, also one that is no longer plugged in. Raises ``DeviceUnknown``."""
    task_id = view.task["task_id"]
    try:
        row = await _board(lab, name, host)
        place = (row["host"], row["device"])
    except errors.DeviceUnknown:
        last = name.rpartition("/")[2]
        given = [one for one in lab.assigned.of(task_id).values() if one[1] == last and host in (None, one[0])]
        if not given:
            raise
        place = given[0]
    if not lab.assigned.drop(task_id, place):
        raise errors.DeviceUnknown(name)


async def boards(lab: Lab, view: TaskView) -> dict[str, Row]:
    """The boards of a build's nodes that are plugged in, by node."""
    places = lab.assigned.of(view.task["task_id"])
    if not places:
        return {}
    rows = {(row["host"], row["device"]): row for row in await lab.read(queries.devices)}
    return {node: rows[place] for node, place in places.items() if place in rows}


def _node(view: TaskView, node_id: str | None) -> Row:
    if node_id is None and len(view.nodes) == 1:
        return view.nodes[0]
    for node in view.nodes:
        if node["node_id"] == node_id:
            return node
    there = ", ".join(node["node_id"] for node in view.nodes)
    raise errors.Unusable(f"node_id: say which node the board is for; there are {there or 'none yet'}")


async def _board(lab: Lab, name: str, host: str | None) -> Row:
    """In a path a port's name and a device's look alike: both begin with a slash."""
    plain = name.lstrip("/")
    try:
        return await finding.named(lab, f"/{plain}", host)
    except errors.DeviceUnknown:
        return await finding.named(lab, plain, host)
