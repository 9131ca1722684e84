"""Boards and their hosts: which there are, and a hand on one."""

from functools import partial
from typing import Annotated, Any

from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from benchwire.events.catalog import FLASH_AGENT
from benchwire.observability import commands, lease, queries
from benchwire.observability.boards import finding, hands
from benchwire.observability.lab import Lab
from benchwire.observability.lease import Wish
from benchwire.observability.queries import Row
from benchwire.observability.routes.params import AnyRequest, Id, InState, Text, TheLab
from benchwire.observability.session import iso
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire.devices import Identify, Power, Reset, device_view
from benchwire.observability.wire.leasing import labels_of
from benchwire.web.described import described
from benchwire.web.scopes import name_of
from benchwire.web.tokens import Scope

Labels = Annotated[
    list[str] | None, QueryParameter(name="label", description="like rack=2; may be given several times")
]


async def shown(lab: Lab, rows: list[Row]) -> list[dict[str, Any]]:
    """Devices as clients see them now."""
    there = await lab.present.names(FLASH_AGENT)
    now = iso(lab.now())
    return [device_view(row, host_is_up=None if there is None else row["host"] in there, now=now) for row in rows]


async def _devices(
    lab: Lab, *, host: str | None, profile: str | None, state: str | None, label: list[str] | None
) -> dict[str, Any]:
    wish = Wish(labels=labels_of(label or []))
    profile = commands.board_named(profile)
    rows = await lab.read(partial(queries.devices, host=host, profile=profile))
    views = await shown(lab, [row for row in rows if lease.fits(queries.board(row), wish)])
    return {"devices": [one for one in views if state in (None, one["state"])]}


@get("/api/devices", opt=described(answers=answers.Devices))
async def list_devices(
    lab: TheLab, *, profile: Text = None, label: Labels = None, in_state: InState = None, host: Text = None
) -> dict[str, Any]:
    """Boards that are plugged in, on all hosts: all, or those of a profile, in a state, that have all of the labels."""
    return await _devices(lab, host=host, profile=profile, state=in_state, label=label)


@get("/api/deploy/devices", opt=described(answers=answers.Devices))
async def list_deploy_devices(
    lab: TheLab, *, profile: Text = None, label: Labels = None, in_state: InState = None, host: Text = None
) -> dict[str, Any]:
    """Boards that are plugged in, on all hosts, as ``/api/devices`` lists them."""
    return await _devices(lab, host=host, profile=profile, state=in_state, label=label)


@get("/api/devices/{device_id:str}", opt=described(answers=answers.OneDevice))
async def get_device(lab: TheLab, device_id: Id, host: Text = None) -> dict[str, Any]:
    """One board; ``host`` is needed when boards of several hosts have its name."""
    (view,) = await shown(lab, [await finding.named(lab, device_id, host)])
    return {"device": view}


@get("/api/hosts", opt=described(answers=answers.Hosts))
async def list_hosts(lab: TheLab) -> dict[str, Any]:
    """Hosts that have, or had, a flash agent."""
    there = await lab.present.names(FLASH_AGENT)
    rows = await lab.read(queries.hosts)
    return {
        "hosts": [
            {
                "host": row["host"],
                "version": row["version"],
                "up": bool(row["up"]) if there is None else row["host"] in there,
                "since": row["since"],
            }
            for row in rows
        ]
    }


async def _handled(lab: Lab, request: AnyRequest, row: Row, do: hands.Do, lease_id: str | None) -> dict[str, Any]:
    await hands.handled(lab, row, do, lease_id=lease_id, by=name_of(request))
    return {"ok": True, "device_id": row["device"], "host": row["host"]}


@post(
    "/api/devices/{device_id:str}/reset",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.RESET, answers=answers.Asked, refuses=(409,)),
)
async def reset_device(
    lab: TheLab, request: AnyRequest, device_id: Id, data: JSONBody[Reset | None] = None, host: Text = None
) -> dict[str, Any]:
    """Has the board's host pull its reset line: into its application (``run``), or into its boot loader (``download``)."""
    row = await finding.named(lab, device_id, host)
    asked = data or Reset()
    return await _handled(lab, request, row, "download" if asked.mode == "download" else "reset", asked.lease_id)


@post(
    "/api/devices/{device_id:str}/power",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.POWER, answers=answers.Asked, refuses=(409,)),
)
async def power_device(
    lab: TheLab, request: AnyRequest, device_id: Id, data: JSONBody[Power], host: Text = None
) -> dict[str, Any]:
    """Has the board's host switch its supply, where that is configured."""
    row = await finding.named(lab, device_id, host)
    return await _handled(lab, request, row, "power_on" if data.on else "power_off", data.lease_id)


@post(
    "/api/devices/{device_id:str}/identify",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.IDENTIFY, answers=answers.IdentifiedChip, refuses=(409,)),
)
async def identify_device(
    lab: TheLab, device_id: Id, data: JSONBody[Identify | None] = None, host: Text = None
) -> dict[str, Any]:
    """Has the chip itself asked what it is, which resets the board."""
    row = await finding.named(lab, device_id, host)
    said = await hands.identified(lab, row, lease_id=data.lease_id if data else None)
    told = {"chip": said.chip, "profile": said.profile, "problem": said.problem}
    return {"device_id": row["device"], "host": row["host"], **told}


ROUTES = [
    list_devices,
    list_deploy_devices,
    get_device,
    list_hosts,
    reset_device,
    power_device,
    identify_device,
]
