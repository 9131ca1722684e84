"""Starting the processes of a lab together, and ending them in order."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping

import msgspec
from nats.errors import Error as NatsError

from benchwire.deploy import lab_file, site
from benchwire.deploy.board.following import followed
from benchwire.deploy.health import Examiner
from benchwire.deploy.keeper import Change, Tell
from benchwire.deploy.lab import Lab
from benchwire.deploy.parts import Part, Site, nats_part, parts_of
from benchwire.deploy.settings import Settings
from benchwire.deploy.site import CannotStart
from benchwire.events.bus import NatsUnreachable
from benchwire.events.settings import InvalidSettings, NatsSettings, load

__all__ = ["CannotStart", "Change", "Lab", "running"]


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    *,
    environment: Mapping[str, str] | None = None,
    tell: Tell = lambda _: None,
    parts: Callable[[Site], list[Part]] = parts_of,
) -> AsyncGenerator[Lab, None]:
    """A lab on this machine, every part healthy, until the context is left. ``tell`` hears of every change of a part.

    Raises ``CannotStart``, ``IllegalToken``. ``environment`` is what the parts inherit, by default this process's own.
    """
    environment = os.environ if environment is None else environment
    async with contextlib.AsyncExitStack() as stack:
        place = stack.enter_context(site.prepared(settings, environment))
        examiner = await stack.enter_async_context(Examiner(settings.token))
        lab = await stack.enter_async_context(_supervised(place, examiner, tell))
        await lab.start(_without_old_ports(place))
        try:
            await examiner.connect(_nats_settings(place))
        except (NatsUnreachable, NatsError, InvalidSettings) as error:
            raise CannotStart(_why_no_log(error, place)) from error
        await lab.start(parts(place))
        await stack.enter_async_context(followed(lab))
        stack.enter_context(lab_file.written(place))
        yield lab


def _why_no_log(error: Exception, place: Site) -> str:
    if "insufficient storage" in str(error) and place.nats_argv:
        return (
            f"nats: the disk of {place.data} is too full for the log; make room, or give another directory with --data"
        )
    return f"nats: {str(error).removeprefix('nats: ')}"


@contextlib.asynccontextmanager
async def _supervised(place: Site, examiner: Examiner, tell: Tell) -> AsyncGenerator[Lab, None]:
    """A lab without parts; those that are started in it end with it, in order. What the body raises leaves as it is."""
    trouble: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        lab = Lab(place, examiner, tell, tasks)
        try:
            yield lab
        except Exception as error:  # noqa: BLE001 - raised below: outside of the group, which would wrap it
            trouble = error
        finally:
            await lab.stop()
    if trouble is not None:
        raise trouble


def _without_old_ports(place: Site) -> list[Part]:
    """The NATS part; what killed servers wrote down about their ports is removed, because a new one may get an old one's pid."""
    for old in place.nats_store.glob("nats-server_*.ports"):
        old.unlink()
    return nats_part(place)


def _nats_settings(place: Site) -> NatsSettings:
    """Where the lab's NATS is; who this is there, if that is another's server, is said by the environment, as to each part."""
    return msgspec.structs.replace(
        load(NatsSettings, place.environment), nats_url=place.nats_url, nats_connect_timeout_s=10.0
    )
