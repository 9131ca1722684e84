"""What a task made, put onto boards: one node's image, or all of them."""

import uuid
from typing import Any

import msgspec

from benchwire.events.event import Artifact, token
from benchwire.events.task import NodeSpec
from benchwire.observability import errors, queries
from benchwire.observability.boards import assigning, finding, flashing
from benchwire.observability.commands import Node
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row, TaskView
from benchwire.observability.task import Status
from benchwire.observability.wire.flashing import DeployNode, StartFlash


async def deployed(lab: Lab, asked: DeployNode) -> Row:
    """The flash job of the image that a node stored, onto the board on that port, or that was assigned to it, or onto a free one of its kind.

    Raises ``TaskUnknown``, ``Unusable``, and what ``flashing.started`` raises.
    """
    view = await known(lab, asked.task_id or asked.session_id)
    node = next((one for one in view.nodes if one["node_id"] == asked.node_id), None)
    if node is None:
        nodes = ", ".join(one["node_id"] for one in view.nodes)
        raise errors.Unusable(f"node_id: the task has no node {asked.node_id[:128]!r}; it has {nodes or 'none yet'}")
    start = StartFlash(device_id=asked.port or asked.device_id, host=asked.host, lease_id=asked.lease_id)
    if start == StartFlash():
        start = _meant(node)
    return await _flashed(lab, node, start, only_idle=False)


async def all_deployed(lab: Lab, task_id: str | None) -> list[dict[str, Any]]:
    """Every node of a task that has ended onto an idle board of its own: the jobs, and why there is none for some.

    Raises ``TaskUnknown`` and ``TaskStillRunning``.
    """
    view = await known(lab, task_id)
    if view.task["status"] in (Status.IN_PROGRESS, Status.CANCELLING):
        raise errors.TaskStillRunning(view.task["task_id"])
    operations = []
    for node in view.nodes:
        try:
            operations.append(operation(await _flashed(lab, node, _meant(node), only_idle=True), node["node_id"]))
        except errors.SAYABLE as error:
            operations.append({"node_id": node["node_id"], "status": "failed", "error": str(error)})
    return operations


def operation(job: Row, node_id: str) -> dict[str, Any]:
    """A flash job that was begun for a node, as clients see it."""
    return {
        "node_id": node_id, "jobId": job["job_id"], "deviceId": job["device"], "host": job["host"], "status": "started"
    }  # fmt: skip


async def known(lab: Lab, task_id: str | None) -> TaskView:
    """The task of that id. Raises ``TaskUnknown`` and ``Unusable``."""
    if not task_id:
        raise errors.Unusable("task_id: it is missing; session_id says the same")
    token(task_id, "task_id")
    return await lab.found(lambda db: queries.task(db, task_id), errors.TaskUnknown(task_id))


def _meant(node: Row) -> StartFlash:
    """The board that the node is for, or any that is as the task asked for it."""
    place = assigning.of_node(node)
    if place.device is not None:
        return StartFlash(host=place.host, device_id=place.device)
    return StartFlash(host=place.host, labels=msgspec.json.decode(node["spec"], type=NodeSpec).labels)


async def _flashed(lab: Lab, node: Row, start: StartFlash, *, only_idle: bool) -> Row:
    if node["image"] is None:
        raise errors.FirmwareUnknown(f"node {node['node_id']!r} has stored no image; it is {node['state']}")
    image = msgspec.json.decode(node["image"], type=Artifact)
    if start.device_id is None:
        start.profile = node["board"]
    else:
        await finding.meant_for(lab, node["node_id"], node["board"], start.device_id, start.host)
    job_id = f"job_{uuid.uuid4().hex[:16]}"
    of = Node(task_id=node["task_id"], node_id=node["node_id"])
    return await flashing.started(lab, start, job_id=job_id, images=[(image, None)], node=of, only_idle=only_idle)
