"""Boards given to the nodes of a task, and taken back. That is a fact: it outlives this service, and the task's runner follows it, too."""

from collections.abc import Callable

from benchwire.events.event import Event
from benchwire.observability import assigned, commands, errors, queries
from benchwire.observability.assigned import Place, Places
from benchwire.observability.boards import finding
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.queries import Row, TaskView


async def assign(lab: Lab, view: TaskView, node_id: str | None, name: str, host: str | None) -> None:
    """Gives the board that ``name`` means to a node; a task of one node needs no name of it.

    Raises ``Unusable``, ``DeviceUnknown``, ``DeviceAmbiguous`` and, when another node of the task has the board, ``BoardAssigned``.
    """
    node = _node(view, node_id)
    task_id, wanted = node["task_id"], node["node_id"]
    row = await _board(lab, name, host)
    row = await finding.meant_for(lab, wanted, node["board"], row["device"], row["host"])
    place = Place(row["host"], row["device"])
    await _decided(lab, task_id, lambda places: commands.assign_node(places, task_id, wanted, place, lab.now()))


async def unassign(lab: Lab, view: TaskView, name: str, host: str | None) -> None:
    """Takes the board back, also one that is no longer plugged in. Raises ``DeviceAmbiguous`` and ``DeviceNotAssigned``."""
    task_id = view.task["task_id"]
    try:
        row = await _board(lab, name, host)
        place = Place(row["host"], row["device"])
    except errors.DeviceUnknown:
        place = Place(host, name.rpartition("/")[2])
    await _decided(lab, task_id, lambda places: commands.unassign_board(places, task_id, place, lab.now()))


async def boards(lab: Lab, view: TaskView) -> dict[str, Row]:
    """The boards of a task's nodes, by node; of one that is not plugged in nothing but its name is known."""
    places = {node["node_id"]: of_node(node) for node in view.nodes if node["assigned_device"] is not None}
    if not places:
        return {}
    rows = await lab.read(queries.devices)
    return {node_id: _row(rows, place) for node_id, place in places.items()}


def of_node(node: Row) -> Place:
    """Where a node goes, as its row has it."""
    return Place(node["assigned_host"], node["assigned_device"])


async def _decided(lab: Lab, task_id: str, decide: Callable[[Places], Event | None]) -> None:
    none: Places = {}
    made = await lab.log.decide(
        assigned.OF_ITS_NODES, none, assigned.evolve, decide, deadline_s=WRITE_DEADLINE_S, task_id=task_id
    )
    await lab.shown(made.sequence)


def _row(rows: list[Row], place: Place) -> Row:
    there = [row for row in rows if place.is_at(Place(row["host"], row["device"]))]
    return there[0] if there else Row({"host": place.host, "device": place.device, "port": None})


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
