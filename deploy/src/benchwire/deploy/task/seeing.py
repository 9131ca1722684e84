"""A task seen through: started, followed, told of, and its files kept."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy.calling import TERMINATED, print_json
from benchwire.deploy.client import Client
from benchwire.deploy.ending import say
from benchwire.deploy.hardware.asked import console
from benchwire.deploy.story import shown
from benchwire.deploy.task.telling import line, reason, table_of
from benchwire.events.journal import printable

CANCEL_TIMEOUT_S = 10.0
_CODES = {"completed": 0, "cancelled": TERMINATED}


class View:
    """How a task is shown. ``named``: each line says of which module it is. ``log``: the lab's own log is shown. ``out``: where files go."""

    def __init__(
        self, command: str, *, json: bool = False, named: bool = True, log: bool = False, table: bool = True, out: Path | None = None
    ) -> None:  # fmt: skip
        self.command = command
        self._json = json
        self._named = named
        self._log = log
        self._table = table
        self._out = out

    async def follow(self, client: Client, task_id: str) -> int:
        """Shows what happens until the task has ended, and what came of it.

        The exit code: 0 when it did what was asked, 1 when not, 143 when it was cancelled. Raises ``NoLab`` and ``Refused``.
        """
        if self._log and not self._json:
            await self._lines(client, task_id)
        else:
            await self._frames(client, task_id)
        results = await client.results(task_id)
        if self._out is not None:
            self._keep(results, self._out)
        if self._json:
            print_json(results)
        else:
            self._verdict(results)
        return _CODES.get(results["status"], 1)

    def _verdict(self, results: dict[str, Any]) -> None:
        if self._table and results.get("modules"):
            console().print(table_of(results))
        if why := reason(results):
            say(f"benchwire {self.command}: {why}")

    async def _frames(self, client: Client, task_id: str) -> None:
        async with contextlib.aclosing(client.frames(task_id)) as frames:
            async for frame in frames:
                if self._json:
                    print_json(frame)
                elif text := line(frame, named=self._named):
                    console().print(text)

    async def _lines(self, client: Client, task_id: str) -> None:
        async with contextlib.aclosing(client.log(task_id)) as lines:
            async for one in lines:
                console().print(printable(one))

    def _keep(self, results: dict[str, Any], folder: Path) -> None:
        count = 0
        for module in results.get("modules", []):
            own = folder / module["name"] if module.get("board") else folder
            for name, text in (module.get("sources") or {}).items():
                file = own / name
                if not file.resolve().is_relative_to(folder.resolve()):
                    raise ValueError(f"a module has a file {name!r}, which would not be in {folder}; it is not written")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                count += 1
        say(f"{count} files in {folder}")


async def seen_through(
    client: Client, body: dict[str, Any], view: View, *, timeout_s: float | None, quiet: bool = False
) -> int:
    """Starts a task and sees it through; when nobody waits for it any longer it is cancelled. Raises ``NoLab`` and ``Refused``."""
    task_id = await client.start(body)
    if not quiet:
        console().print(f"{task_id} at {client.url}")
    sys.stdout.flush()
    over, patience = False, asyncio.timeout(timeout_s)
    try:
        async with patience:
            code = await view.follow(client, task_id)
        over = True
    except TimeoutError:
        if not patience.expired():
            raise
        say(f"benchwire {view.command}: {task_id} did not end within {timeout_s:g} s; it is cancelled")
        return 1
    except (NoLab, Refused) as error:
        say(f"benchwire {view.command}: {task_id} cannot be followed any more: {error}")
        return 1
    finally:
        if not over:
            await _cancelled(client, task_id)
    return code


async def watched(client: Client, task_id: str, view: View) -> int:
    """Shows a task that does not depend on who looks. Raises ``NoLab`` and ``Refused``."""
    try:
        return await view.follow(client, task_id)
    except asyncio.CancelledError:
        say(f"{task_id} goes on without being looked at; `benchwire task cancel {task_id}` ends it")
        raise


async def _cancelled(client: Client, task_id: str) -> None:
    """Does not leave a task behind that nobody waits for; a lab that is gone has no task either."""
    with contextlib.suppress(NoLab, Refused, TimeoutError):
        told = await asyncio.wait_for(client.cancel(task_id), CANCEL_TIMEOUT_S)
        say(f"{task_id}: {shown(told.get('message', 'it is cancelled'))}")
