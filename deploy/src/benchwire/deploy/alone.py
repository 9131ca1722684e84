"""A lab that comes and goes on a host where another may be at work: it leaves the real boards to that one."""

from collections.abc import Mapping

_ONLY_VIRTUAL = {"BENCHWIRE_PORTS": "off", "BENCHWIRE_PROBES": "off", "BENCHWIRE_IDENTIFY": "off"}


def with_virtual_boards_only(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for such a lab: no port, drive or probe is looked for, no board is asked what it is, no file says what is plugged in."""
    return {name: value for name, value in environment.items() if name != "BENCHWIRE_BOARDS"} | _ONLY_VIRTUAL
