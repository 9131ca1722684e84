"""A task, from what somebody asks for to the request in the queue."""

from msgspec.structs import replace

from benchwire.events.event import IllegalToken
from benchwire.events.task import NodeSpec, TaskRequested
from benchwire.observability import commands, errors
from benchwire.observability.boards import finding
from benchwire.observability.lab import Lab
from benchwire.observability.wire.requests import StartTask


async def started(lab: Lab, asked: StartTask, task_id: str) -> None:
    """Puts the task into the queue of the agent runners. The same ``task_id`` again is the same task.

    Raises ``Unusable`` for what could never be done, and for a board that whoever would make it cannot serve.
    """
    event = commands.start_task(asked, task_id, lab.now())
    _check_whole(lab, event)
    await lab.runners.mind(event)
    await lab.write(await _placed(lab, event), event_id=f"{task_id}-requested")


def _check_whole(lab: Lab, event: TaskRequested) -> None:
    """What is built, and what is waited for, is as the log has it, which is without secrets: better said now than found out on a board.

    Raises ``Unusable``.
    """
    for place, (node, published) in enumerate(zip(event.nodes, lab.log.published(event).nodes, strict=True)):
        changed = [name for name, text in (published.sources or {}).items() if text != (node.sources or {}).get(name)]
        if changed:
            raise errors.Unusable(
                f"nodes[{place}].sources: {changed[0]} holds what looks like a key or a password; events are kept for ever, so take it out, "
                "and send it to the board over its serial port, or flash it into a partition of its own"
            )
        if (published.assertions, published.expect) != (node.assertions, node.expect):
            raise errors.Unusable(
                f"nodes[{place}]: what it has to print looks like a key or a password; events are kept for ever, and without it nothing the "
                "board prints would fit, so let it print something else"
            )


async def _placed(lab: Lab, event: TaskRequested) -> TaskRequested:
    """The same, with the boards that nodes name by port, or without their host, called as the lab calls them."""
    nodes = [await _place(lab, node, f"nodes[{place}].device") for place, node in enumerate(event.nodes)]
    return replace(event, nodes=nodes)


async def _place(lab: Lab, node: NodeSpec, where: str) -> NodeSpec:
    if node.device is None:
        return node
    try:
        row = await finding.meant_for(lab, node.node_id, node.board, node.device, node.host)
    except (errors.DeviceUnknown, errors.DeviceAmbiguous, errors.Unusable, IllegalToken) as error:
        raise errors.Unusable(f"{where}: {error}") from None
    return replace(node, host=row["host"], device=row["device"])
