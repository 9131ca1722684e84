"""The agent runner: takes sessions and tasks off their queues and brings them to an end."""

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from functools import partial

from benchwire.agent import queries, sandbox
from benchwire.agent.asking import Asking
from benchwire.agent.claim import SERVICE, Desk
from benchwire.agent.jobs import Jobs
from benchwire.agent.lab import Lab
from benchwire.agent.model import endpoint
from benchwire.agent.projection import SCHEMA
from benchwire.agent.sessions.folders import Folders
from benchwire.agent.sessions.runner import Runner
from benchwire.agent.settings import Settings
from benchwire.agent.work import Workbench
from benchwire.agent.worker import Worker
from benchwire.boards import profile as profiles
from benchwire.events import prices, service
from benchwire.events.bus import connected
from benchwire.events.catalog import queue_of
from benchwire.events.presence import Present
from benchwire.events.projection import Projection
from benchwire.events.session import SessionRequested
from benchwire.events.settings import InvalidSettings, load
from benchwire.events.sole import Sole
from benchwire.events.task import TaskRequested

SESSIONS = queue_of(SessionRequested)
TASKS = queue_of(TaskRequested)

log = logging.getLogger(__name__)


async def serve(settings: Settings | None = None) -> None:
    """Works until it is cancelled; what is under way then goes back to its queue. Without ``settings`` it asks the environment for them."""
    settings = settings or load(Settings)
    fence = await _sandbox(settings)
    speaks = await endpoint.configured(settings)
    costs = await asyncio.to_thread(prices.read, settings.prices_file)
    await asyncio.to_thread(profiles.names)  # reads them, once for all
    log.info("model: %s; sandbox: %s %s", speaks.name if speaks else "none", fence.kind, fence.reason)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each model call is in the log of the lab
    # Sessions tell what goes wrong with a server; tracebacks of its SDK may hold what it was sent.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    async with AsyncExitStack() as stack:
        if speaks is not None:
            stack.push_async_callback(speaks.close)
        bus = await stack.enter_async_context(connected(settings, name=f"agent-{settings.runner}"))
        projection = Projection(bus, settings.home / "projection.sqlite", SCHEMA)
        lab = Lab(settings, bus, projection, model=speaks, sandbox=fence)
        bench = Workbench()
        projection.on_commit(bench.saw)
        projection.on_commit(lab.saw)
        folders = Folders(settings.home / "sessions")
        projection.on_commit(folders.saw)
        await stack.enter_async_context(projection.running())
        await asyncio.to_thread(_clean, settings)
        for one in await projection.read(lambda db: queries.unfinished(db, settings.runner)):
            log.info("%s %s was left unfinished (attempt %d); it comes again", one.kind, one.name, one.attempt)
        desk = Desk(lab.log, lab.presence, settings.runner)
        jobs = Jobs(desk, bench, Runner(settings, speaks, lab, folders, costs), lab)
        present = Present(
            service=SERVICE, name=settings.runner, version=service.version_of("benchwire-agent"), pid=os.getpid(),
            lacking=projection.state.lacking or "",
        )  # fmt: skip
        # Presence goes first on the way out: whoever looks at work that was given back sees that this runner is gone.
        serving = bus.serving(SERVICE, present.version, Asking(lab).endpoints())
        sole = Sole(lab.presence, present, setting="BENCHWIRE_RUNNER", file=settings.home / "last-run")
        async with asyncio.TaskGroup() as workers, serving, sole.announced():
            wait_s = settings.ack_wait_s
            sessions = Worker(
                bus, SESSIONS, SessionRequested, jobs.session, limit=settings.max_sessions, ack_wait_s=wait_s
            )
            tasks = Worker(bus, TASKS, TaskRequested, jobs.task, limit=settings.max_tasks, ack_wait_s=wait_s)
            workers.create_task(folders.clear(partial(bench.has, "session")))
            workers.create_task(sessions.run())
            workers.create_task(tasks.run())
            if speaks is not None:
                workers.create_task(speaks.warm())
            service.ready()
            await sole.lost()


async def _sandbox(settings: Settings) -> sandbox.Sandbox:
    try:
        fence = await sandbox.detect(settings.sandbox, sandbox.Ids.between(settings.sandbox_ids))
    except (ValueError, sandbox.SandboxUnavailable) as error:
        raise InvalidSettings(str(error)) from error
    if fence.refusal is not None:
        log.warning("%s", fence.refusal)
    return fence


def _clean(settings: Settings) -> None:
    """What a runner that was killed left behind: half-made builds, and processes that it could not take along."""
    # Its children die with it, but bubblewrap's own, if that was just setting it up, waits for its parent for ever.
    sandbox.sweep(sandbox.WORKDIR, f"{settings.home.absolute()}/")
    try:
        sandbox.remove(settings.home / "builds")
    except OSError as error:
        log.warning("%s", error)


def main() -> None:
    """The command ``benchwire-agent``."""
    service.run("agent", serve)
