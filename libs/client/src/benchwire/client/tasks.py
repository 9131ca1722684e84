"""Tasks: firmware and code that the lab's agents make."""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from benchwire.client.http import Http
from benchwire.client.patience import patiently
from benchwire.client.records import Ending, LogLine, Task, TaskResults


class Tasks:
    """The tasks of the lab behind ``http``. Every method raises ``NoLab`` and ``Refused``."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def start(self, asked: Mapping[str, Any]) -> Task:
        """Asks for a task; ``asked`` are the fields of ``POST /tasks``."""
        task_id = str(self._http.post("/tasks", asked, key=uuid.uuid4().hex)["task_id"])
        return patiently(lambda: self.one(task_id))

    def newest(self) -> list[Task]:
        """The newest tasks."""
        return msgspec.convert(self._http.get("/tasks")["tasks"], list[Task])

    def one(self, task_id: str) -> Task:
        """How far a task is."""
        return msgspec.convert(self._http.get(_of(task_id)), Task)

    def results(self, task_id: str) -> TaskResults:
        """What a task made, also while it runs."""
        return msgspec.convert(self._http.get(f"{_of(task_id)}/results"), TaskResults)

    def log(self, task_id: str) -> list[LogLine]:
        """What was logged until now, oldest first."""
        return msgspec.convert(self._http.get(f"{_of(task_id)}/logs")["logs"], list[LogLine])

    def cancel(self, task_id: str) -> Ending:
        """Ends a task; what came of that within a few seconds."""
        return msgspec.convert(self._http.post(f"{_of(task_id)}/cancel"), Ending)

    def guide(self, task_id: str, guidance: str, node_id: str | None = None) -> None:
        """Tells what the next generation has to heed, of one node or of all."""
        self._http.post(f"{_of(task_id)}/intervene", {"guidance": guidance, "node_id": node_id})


def _of(task_id: str) -> str:
    return f"/tasks/{quote(task_id, safe='')}"
