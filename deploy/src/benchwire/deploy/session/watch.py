"""`benchwire session watch`: a command runs, and is a session of the lab for that time."""

import asyncio
import logging
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy.client import Client, UrlOption, found
from benchwire.deploy.session.command import CHUNK_BYTES, Signals, beside, printed, shell_code
from benchwire.deploy.session.report import Reporter
from benchwire.deploy.session.spool import Spool
from benchwire.deploy.session.stops import Verdict, told_to_stop
from benchwire.events import child
from benchwire.events.event import IllegalToken, token
from benchwire.events.journal import printable
from benchwire.events.settings import InvalidSettings

SESSION_VARIABLE = "BENCHWIRE_SESSION"
GRACE_S = 5.0
PATIENCE_S = 300.0
_NOT_RUN, _NOT_FOUND = 126, 127  # as a shell reports them

Option = typer.Option


def watch(  # noqa: PLR0917 - typer calls it by name
    session_id: Annotated[str, typer.Argument(metavar="ID", help="The session's id; one that has ended goes on.")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run, after two dashes.")],
    name: Annotated[str | None, Option(help="The session's name; its id unless told.")] = None,
    agent: Annotated[str | None, Option(help="Who works: the name of an agent.")] = None,
    parent: Annotated[
        str | None,
        Option(
            envvar=SESSION_VARIABLE,
            help="The session that it works for, by id or name; stopping that one stops this one.",
        ),
    ] = None,
    patience: Annotated[
        float, Option(min=0, help="Seconds to wait for a lab that is away when the command has ended.")
    ] = PATIENCE_S,
    url: UrlOption = None,
) -> None:
    """Runs a command as a session: what it prints and how it ends is told to the lab, and a stop in the lab ends it.

    The exit code is the command's, or 128 + n when signal n ended it. The command finds its session's id in BENCHWIRE_SESSION.
    """
    try:
        session = Session(id=token(session_id, "ID"), name=name or session_id, agent=agent, parent=parent)
        client = found(url)
    except (IllegalToken, InvalidSettings) as error:
        sys.exit(_complain(str(error), 2))
    if shutil.which(command[0]) is None:
        sys.exit(_complain(f"{command[0]} is not installed, or not on PATH", _NOT_FOUND))
    logging.getLogger("stamina").setLevel(logging.ERROR)  # that the lab is away is said in our own words
    sys.exit(asyncio.run(_Watch(client, session, patience).run(command)))


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of the session when it begins. ``parent`` is an id, or the name of a session that the lab may know."""

    id: str
    name: str
    agent: str | None = None
    parent: str | None = None


class _Watch:
    """One command, and its session."""

    def __init__(self, client: Client, session: Session, patience_s: float) -> None:
        self._client = client
        self._session = session
        self._patience_s = patience_s
        self._reporter = Reporter(client, session.id, _say)
        self._signals = Signals()
        self._saying: asyncio.Task[None] | None = None
        self._verdict: Verdict | None = None

    async def run(self, argv: Sequence[str]) -> int:
        """The exit code that the shell gets."""
        async with self._client:
            try:
                await self._begin()
            except Refused as error:
                return _complain(str(error), 2 if error.status_code in (400, 409) else 1)
            except NoLab as error:
                return _complain(str(error), 1)
            with self._signals.handled():
                return shell_code(await self._until_over(argv))

    async def _begin(self) -> None:
        """Raises ``NoLab`` and ``Refused``."""
        session = self._session
        there = await self._client.session(session.id)
        if there is not None and there["status"] in ("running", "stopping"):
            raise Refused(409, f"session {session.id!r} runs already; choose another id, or stop it first")
        parent = await self._client.session(session.parent) if session.parent else None
        await self._reporter.start(
            session_name=session.name,
            project_dir=os.getcwd(),  # noqa: PTH109 - as the command sees it
            agent_name=session.agent,
            parent_session_id=parent["session_id"] if parent else None,
            parent_session_name=parent["session_name"] if parent else session.parent,
        )

    async def _until_over(self, argv: Sequence[str]) -> int:
        spool = Spool(on_full=lambda: _say("the lab is away for too long: the command waits where it prints more"))
        async with beside(self._reporter.say_all(spool)) as self._saying:
            try:
                code = await self._ran(argv, spool)
            except OSError as error:  # it has begun in the lab, and has to end there too
                code = _complain(f"{argv[0]} cannot be run: {error}", _NOT_RUN)
            self._signals.command_is_over()
            await spool.close()
            if self._verdict is not Verdict.DELETED:
                await self._told(self._saying, code)
        return code

    async def _ran(self, argv: Sequence[str], spool: Spool) -> int:
        environment = {**os.environ, SESSION_VARIABLE: self._session.id}
        async with child.spawn(
            argv, stdin=None, stdout=child.PIPE, stderr=child.PIPE, env=environment, grace_s=GRACE_S, limit_bytes=CHUNK_BYTES
        ) as process:  # fmt: skip
            self._signals.command_runs(process.pid)
            async with beside(self._stop_when_told(process)):
                await printed(process, spool)
            return await child.exited(process)

    async def _stop_when_told(self, process: asyncio.subprocess.Process) -> None:
        self._verdict = await told_to_stop(self._client, self._session.id)
        _say(f"the session was {self._verdict} in the lab; the command is ended")
        if self._verdict is Verdict.DELETED and self._saying is not None:  # another word would make it known again
            self._saying.cancel()
        await child.stop_tree(process, grace_s=GRACE_S)

    async def _told(self, saying: asyncio.Task[None], code: int) -> None:
        """Returns when the lab knows how it ended, or nobody waits for that any longer."""

        async def finish() -> None:
            await saying
            await self._reporter.end(shell_code(code), _reason(code, self._verdict))

        async with beside(finish()) as finishing, beside(self._signals.given_up.wait()) as giving_up:
            await asyncio.wait([finishing, giving_up], timeout=self._patience_s, return_when=asyncio.FIRST_COMPLETED)
            if finishing.done():
                finishing.result()
            else:
                _say("the lab was not told how it ended: it is still away")


def _reason(code: int, verdict: Verdict | None) -> str | None:
    by = f"ended by {signal.Signals(-code).name}" if code < 0 else None
    if verdict is Verdict.STOPPED:
        return "stopped on request" + (f", {by}" if by else "")
    return by or (f"exit code {code}" if code else None)


def _say(text: str) -> None:
    print(f"benchwire session: {printable(text)}", file=sys.stderr, flush=True)  # noqa: T201 - a command's own output


def _complain(reason: str, code: int) -> int:
    _say(reason)
    return code
