"""One board for what several places found of it. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from benchwire.flash_agent.probes import Device


def merged(found: Mapping[str, Iterable[Device]]) -> dict[str, Device]:
    """The boards that are plugged in, by name, from what each source found, by the source's name.

    A debug probe and its serial port are one board. A virtual board that is listed as a probe, too, is one. What a person configured takes
    the place of whatever was found at the same port or probe, and keeps what was found out about that. Of two boards of one name the one of
    the more certain source counts: configured, virtual, serial port, drive, probe.
    """
    boards: dict[str, Device] = {}
    for source in ("virtual boards", "serial ports", "drives"):
        for device in found.get(source, ()):
            boards.setdefault(device.name, device)
    for probe in found.get("debug probes", ()):
        _add_probe(boards, probe)
    named: dict[str, Device] = {}
    for wanted in (*found.get("configured boards", ()), *found.get("network ports", ())):
        there = [device for device in boards.values() if _same(wanted, device)]
        for device in there:
            del boards[device.name]
        if there or wanted.port is not None:  # a probe is there when it was found; a port, when its source says so
            named.setdefault(wanted.name, _taking_the_place(wanted, there))
    return named | {name: device for name, device in boards.items() if name not in named}


def probe_key(unique_id: str) -> str:
    """What is the same in all spellings of a probe's id: J-Link's is a number, which USB fills up with zeros."""
    return unique_id.lstrip("0").casefold()


def _add_probe(boards: dict[str, Device], probe: Device) -> None:
    key = probe_key(probe.probe or "")
    for name, device in boards.items():
        known = [one for one in (device.probe, device.serial_number) if one]
        if key in map(probe_key, known):
            # What pyocd calls the probe is what it can be chosen by. A virtual board has said that itself.
            if not device.virtual and device.probe is not None:
                boards[name] = msgspec.structs.replace(device, probe=probe.probe)
            return
    boards.setdefault(probe.name, probe)


def _same(wanted: Device, device: Device) -> bool:
    same_port = wanted.place is not None and wanted.place == device.place
    asked, known = wanted.probe, device.probe
    return same_port or (asked is not None and known is not None and probe_key(asked) == probe_key(known))


def _taking_the_place(wanted: Device, there: list[Device]) -> Device:
    """``wanted``, with what it does not say itself from what was found."""
    said = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
    for device in there:
        for name in _FOUND_OUT:
            said[name] = said[name] or getattr(device, name)
        said["labels"] = device.labels | said["labels"]
        said["instance"] = f"{said['instance']} {device.instance}"
    return Device(**said)


_FOUND_OUT = (
    "profile", "driver", "port", "probe", "chip", "serial_number", "vid", "pid", "virtual", "control", "drive", "place",
)  # fmt: skip
