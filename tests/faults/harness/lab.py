"""A lab to break: every part is a real process; what stands between it and the network, the clock and the disk is the harness' own."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import httpx
import msgspec

from benchwire.boards import profile as profiles
from benchwire.deploy import lab as deploy_lab
from benchwire.deploy.alone import with_virtual_boards_only
from benchwire.deploy.health import Examiner
from benchwire.deploy.parts import Announced, Health, Part, Site, WritesPorts, parts_of
from benchwire.deploy.settings import Settings
from benchwire.deploy.supervisor import running
from benchwire.events.bus import Bus, connected
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually

from . import cassette, disk, shim
from .cable import Cable
from .disk import Disk
from .invariants import Rows, rows_in
from .plan import RUNNERS, SERVICES, TARGETS, Kind
from .shim import Shim

HOST = "lab-1"
BOARDS = {"esp32c3-1": "esp32c3", "stm32f405-1": "stm32f405", "nrf51822-1": "nrf51822"}
PATIENCE_S = 120.0
_PARTS = (*SERVICES, *RUNNERS, "flash-agent")
_ON_OWN_DISK = TARGETS["full disk"]
_ANSWER_S = 15.0
_WORK = cassette.conversation(
    {"first": "work as"},
    cassette.bash("Now one.", "echo one; sleep 0.3"),
    cassette.bash("Now two.", "echo two; sleep 0.3"),
    {"text": "Done."},
)


class Means(msgspec.Struct, frozen=True):
    """What this machine lets the harness do: ``missing`` has a reason for each kind of fault that cannot be had."""

    missing: dict[Kind, str]


def means() -> Means:
    """As it is here."""
    missing: dict[Kind, str] = {}
    if (reason := disk.why_not()) is not None:
        missing["full disk"] = reason
    if shim.compiler() is None:
        for kind in ("clock jump", "slow disk"):
            missing[kind] = "no C compiler, and the wall clock and the disk are got at by a shim in C"
    return Means(missing)


class Between(msgspec.Struct, frozen=True):
    """What stands between each part and the rest of the world."""

    cables: dict[str, Cable]
    shims: dict[str, Shim]
    disks: dict[str, Disk]


class Lab:
    """The parts that run, and how to get at them from outside."""

    def __init__(
        self, lab: deploy_lab.Lab, examiner: Examiner, bus: Bus, between: Between, health: dict[str, Health]
    ) -> None:
        self._lab = lab
        self._examiner = examiner
        self._health = {"nats": WritesPorts(lab.site.nats_store), **health}
        self.bus = bus
        self.data = lab.site.data
        self.site = lab.site
        self.cables, self.shims, self.disks = between.cables, between.shims, between.disks

    def client(self, service: str) -> httpx.AsyncClient:
        """A client of one of the two doors."""
        url = self.site.observability_url if service == "observability" else self.site.documents_url
        return httpx.AsyncClient(base_url=url, timeout=_ANSWER_S, trust_env=False)

    def pid(self, part: str) -> int | None:
        """The process of a part, unless it is between two."""
        return self._lab.pids.get(part)

    async def is_well(self, part: str) -> bool:
        """Whether the part has a process, and that one is healthy, as its users see it."""
        pid = self.pid(part)
        if pid is None:
            return False
        if part == "nats" and not await self.bus.answers():
            return False
        return not await self._examiner.ailment(self._health[part], pid)

    async def well(self, *parts: str) -> None:
        """Waits until these parts, by default all, are well. Raises ``AssertionError`` when one is not in time."""
        for part in parts or ("nats", *_PARTS):
            await eventually(partial(self.is_well, part), within_s=PATIENCE_S, what=f"{part} is well")

    def rows(self) -> list[Rows]:
        """Every projection of this lab."""
        mine = rows_in(self.data, flash_host=HOST, runner=True, doors=True)
        return mine + rows_in(_second(self.data), runner=True)

    def rows_file(self, part: str) -> Path:
        """The file of rows of a part."""
        data, folder = (_second(self.data), "agent") if part == "agent-2" else (self.data, part)
        return data / folder / "projection.sqlite"

    def flashes(self) -> dict[str, tuple[Path, int]]:
        """Where each board's flash lies, and the offset of what load puts there."""
        return {
            name: (self.data / "boards" / f"{name}.flash", place_of(profiles.load(profile))[1])
            for name, profile in BOARDS.items()
        }


def place_of(profile: profiles.Profile) -> tuple[int, int]:
    """Where data can lie on a board that is no firmware: its address, and its offset in the flash file."""
    if isinstance(profile.driver, profiles.Pyocd):
        return profile.firmware_address + 0x8000, 0x8000
    return 0x20000, 0x20000


def _second(data: Path) -> Path:
    return data / "second"


@contextlib.asynccontextmanager
async def lab_in(data: Path, able: Means, *, grace_s: float) -> AsyncGenerator[Lab, None]:
    """A lab in ``data``, every part healthy. ``grace_s`` is how long the document store waits before it frees what nobody names."""
    async with AsyncExitStack() as stack:
        cables = {part: await stack.enter_async_context(Cable().plugged()) for part in _PARTS}
        disks: dict[str, Disk] = {}
        if "full disk" not in able.missing:
            disks = {part: stack.enter_context(Disk(data / part).mounted()) for part in _ON_OWN_DISK}
        shims: dict[str, Shim] = {}
        if "slow disk" not in able.missing:
            library = await asyncio.to_thread(shim.built, data)
            shims = {part: Shim(library, data / f"{part}.shim") for part in _PARTS}
        script = data / "cassette.json"
        script.write_text(json.dumps(cassette.cassette(_WORK, delay_s=0.2)))
        made: list[Part] = []

        def parts(site: Site) -> list[Part]:
            made.extend(_parts(site, cables, shims, grace_s))
            return made

        settings = Settings(
            data=data, host=HOST, runner="runner-1", observability_port=0, documents_port=0, nats_port=0,
            virtual=list(BOARDS.values()), cassette=script,
        )  # fmt: skip
        lab = await stack.enter_async_context(running(settings, environment=_environment(data), parts=parts))
        to_nats = NatsSettings(nats_url=lab.site.nats_url)
        bus = await stack.enter_async_context(connected(to_nats, name="witness"))
        examiner = await stack.enter_async_context(Examiner())
        await examiner.connect(to_nats)
        yield Lab(lab, examiner, bus, Between(cables, shims, disks), {one.name: one.health for one in made})


def _environment(data: Path) -> dict[str, str]:
    names = ("ANTHROPIC_", "BENCHWIRE_", "NATS_", "FAULTS_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return with_virtual_boards_only(inherited) | {"HOME": str(data)}


def _parts(site: Site, cables: dict[str, Cable], shims: dict[str, Shim], grace_s: float) -> list[Part]:
    """The parts as `benchwire up` has them, and a second runner; each of ours behind its cable."""
    made = []
    for one in parts_of(site):
        made.append(one)
        if one.name == "agent":
            env = one.env | {"BENCHWIRE_RUNNER": "runner-2", "BENCHWIRE_DATA": str(_second(site.data))}
            second = msgspec.structs.replace(one, name="agent-2", env=env, health=Announced("agent", "runner-2"))
            made.append(second)
    return [_behind(one, site, cables, shims, grace_s) if one.name in cables else one for one in made]


def _behind(part: Part, site: Site, cables: dict[str, Cable], shims: dict[str, Shim], grace_s: float) -> Part:
    cable = cables[part.name]
    cable.lead_to(site.nats_url)
    own = {
        "BENCHWIRE_NATS_URL": cable.url, "BENCHWIRE_ACK_WAIT_S": "3", "BENCHWIRE_SANDBOX": "limits",
        "BENCHWIRE_DOCUMENTS_GRACE_S": str(grace_s), "BENCHWIRE_MAX_TASKS": "2", "BENCHWIRE_MAX_SESSIONS": "4",
    }  # fmt: skip
    between = shims[part.name].environment if part.name in shims else {}
    return msgspec.structs.replace(part, env=part.env | own | between)
