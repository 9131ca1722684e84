"""`benchwire devices`: the boards of the lab."""

from typing import Annotated

import typer

from benchwire.client import Device
from benchwire.deploy.ending import told
from benchwire.deploy.hardware.asked import (
    BoardUrlOption,
    HostOption,
    JsonOption,
    LabelOption,
    ProfileOption,
    lab,
    labels,
    listed,
)

_COLUMNS = {
    "device": "device_id", "host": "host", "profile": "board_type", "chip": "chip_name", "state": "state", "holder": "holder",
    "port": "place", "labels": "labels", "flash": "mark",
}  # fmt: skip


class _Shown(Device, kw_only=True):
    holder: str | None = None
    place: str | None = None
    mark: str | None = None


def devices(  # noqa: PLR0917 - typer calls it by name
    profile: ProfileOption = None,
    label: LabelOption = None,
    state: Annotated[str | None, typer.Option(help="Only those that are available, leased, busy or offline.")] = None,
    host: HostOption = None,
    json: JsonOption = False,
    url: BoardUrlOption = None,
) -> None:
    """Lists the boards that are plugged in, on all hosts."""
    with told("devices"), lab(url) as there:
        found = there.devices(profile=profile, labels=labels(label), state=state, host=host)
        listed(found if json else [_shown(one) for one in found], _COLUMNS, json=json)


def _shown(device: Device) -> _Shown:
    fields = {name: getattr(device, name) for name in device.__struct_fields__}
    mark = f"{(device.flash_state or 'unknown').replace('_', ' ')}: flash it" if device.needs_flash else None
    holder = device.lease.holder if device.lease else None
    return _Shown(**fields, holder=holder, place=device.port or device.probe, mark=mark)
