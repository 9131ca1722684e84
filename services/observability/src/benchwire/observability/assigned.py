"""Boards that people give to the nodes of a build, until its images are flashed.

This is a note of this service, no fact of the lab: it is gone when the service ends, and other ones do not know it. What counts is the flash
job that it leads to, and whoever needs a board for himself leases it.
"""

from collections import OrderedDict

MOST_BUILDS = 1000

Place = tuple[str, str]  # host, device


class Assigned:
    """Which node goes onto which board, by build; of many builds the newest are kept."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, dict[str, Place]] = OrderedDict()

    def of(self, task_id: str) -> dict[str, Place]:
        """The boards of a build's nodes, by node."""
        return dict(self._of.get(task_id, {}))

    def put(self, task_id: str, node_id: str, place: Place) -> None:
        """Gives a board to a node; it then is no other node's of that build."""
        kept = {node: there for node, there in self.of(task_id).items() if there != place}
        self._of[task_id] = {**kept, node_id: place}
        self._of.move_to_end(task_id)
        while len(self._of) > MOST_BUILDS:
            self._of.popitem(last=False)

    def drop(self, task_id: str, place: Place) -> bool:
        """Takes a board back; whether any node had it."""
        before = self.of(task_id)
        self._of[task_id] = {node: there for node, there in before.items() if there != place}
        return len(self._of[task_id]) < len(before)
