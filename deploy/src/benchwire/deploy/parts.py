"""The processes of a lab on one machine: what each is started with, when it counts as healthy, and when it is stopped."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path

import msgspec

from benchwire.deploy.board.kept import flash_file
from benchwire.deploy.settings import Settings

_MODEL_PREFIX = "ANTHROPIC_"


class Served(msgspec.Struct, frozen=True):
    """Healthy when a GET of ``url`` is answered with 200."""

    url: str


class Announced(msgspec.Struct, frozen=True):
    """Healthy when this instance announces itself, with the pid of the process that was started."""

    service: str
    name: str


class WritesPorts(msgspec.Struct, frozen=True):
    """Healthy when the nats-server has written down in ``store`` which port it listens on, and takes what is written to its streams."""

    store: Path


class PluggedIn(msgspec.Struct, frozen=True):
    """Healthy when the virtual board ``name`` is registered in ``directory``."""

    directory: Path
    name: str


Health = Served | Announced | WritesPorts | PluggedIn


class Stage(IntEnum):
    """The order of stopping: what only talks to others goes before what it talks to."""

    AGENTS = 1
    SERVICES = 2
    NATS = 3


# Seconds between SIGTERM and SIGKILL. The stages follow each other, and all together have to be gone in under 5 s.
GRACE_S = {Stage.AGENTS: 2.0, Stage.SERVICES: 1.2, Stage.NATS: 1.0}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process. ``env`` is its whole environment. The lab is up without a part that is ``optional``."""

    name: str
    argv: list[str]
    env: dict[str, str]
    health: Health
    stage: Stage
    optional: bool = False

    @property
    def grace_s(self) -> float:
        """How long it may take to end before it is killed."""
        return GRACE_S[self.stage]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where this lab is: the settings with all addresses found. ``nats_argv`` is empty when the server is somebody else's.

    ``run_dir`` is short enough for unix sockets. ``model_port`` is None when a real model is configured.
    """

    settings: Settings
    data: Path
    run_dir: Path
    observability_port: int
    documents_port: int
    model_port: int | None
    nats_url: str
    nats_argv: list[str]
    environment: dict[str, str]

    @property
    def observability_url(self) -> str:
        """Where this machine reaches observability."""
        return _url(self.settings.observability_host, self.observability_port)

    @property
    def documents_url(self) -> str:
        """Where this machine reaches documents."""
        return _url(self.settings.documents_host, self.documents_port)

    @property
    def model_url(self) -> str | None:
        """Where the scripted model is."""
        return None if self.model_port is None else _url("127.0.0.1", self.model_port)

    @property
    def logs(self) -> Path:
        """The folder with one log file per part."""
        return self.data / "logs"

    @property
    def nats_store(self) -> Path:
        """Where the embedded server keeps its streams."""
        return self.data / "nats"


def has_model(environment: Mapping[str, str]) -> bool:
    """Whether the environment says how to reach a real model."""
    return any(environment.get(_MODEL_PREFIX + name) for name in ("API_KEY", "BASE_URL", "AUTH_TOKEN"))


def board_names(profiles: list[str]) -> list[str]:
    """A name for each virtual board, the same at every start: profile and number, because the serial number follows from it."""
    count: Counter[str] = Counter()
    names = []
    for profile in profiles:
        count[profile] += 1
        names.append(f"{profile}-{count[profile]}")
    return names


def board_part_name(name: str) -> str:
    """What the process of a virtual board is called among the parts."""
    return f"board-{name}"


def board_part(site: Site, profile: str, name: str, *, options: Sequence[str] = (), optional: bool = False) -> Part:
    """A virtual board. ``options`` are further ones of its command line; what its flash holds stays in the data directory."""
    return Part(
        name=board_part_name(name),
        argv=[
            *(sys.executable, "-m", "benchwire.boards.virtual", profile, "--name", name, "--die-with-parent"),
            *("--run-dir", str(site.run_dir), "--flash-file", str(flash_file(site.data, name)), *options),
        ],
        env=_common(site),
        health=PluggedIn(site.run_dir, name),
        stage=Stage.SERVICES,
        optional=optional,
    )


def nats_part(site: Site) -> list[Part]:
    """The embedded server, when there is one; everything else needs it."""
    if not site.nats_argv:
        return []
    health = WritesPorts(site.nats_store)
    return [Part(name="nats", argv=site.nats_argv, env=_common(site), health=health, stage=Stage.NATS)]


def parts_of(site: Site) -> list[Part]:
    """Every process but the embedded NATS server."""
    return [*_services(site), *_agents(site), *_boards(site), *_scripted_model(site)]


def _services(site: Site) -> Iterator[Part]:
    for name, url in (("observability", site.observability_url), ("documents", site.documents_url)):
        argv = [sys.executable, "-m", f"benchwire.{name}"]
        yield Part(name=name, argv=argv, env=_common(site), health=Served(f"{url}/health"), stage=Stage.SERVICES)


def _agents(site: Site) -> Iterator[Part]:
    host = site.settings.host
    runner = site.settings.runner or host
    yield Part(
        name="agent",
        argv=[sys.executable, "-m", "benchwire.agent"],
        env=_common(site) | {"BENCHWIRE_RUNNER": runner} | _model_access(site),
        health=Announced("agent", runner),
        stage=Stage.AGENTS,
    )
    yield Part(
        name="flash-agent",
        argv=[sys.executable, "-m", "benchwire.flash_agent"],
        env=_common(site) | {"BENCHWIRE_VIRTUAL_DIR": str(site.run_dir)},
        health=Announced("flash-agent", host),
        stage=Stage.AGENTS,
    )


def _boards(site: Site) -> Iterator[Part]:
    profiles = site.settings.virtual
    for profile, name in zip(profiles, board_names(profiles), strict=True):
        yield board_part(site, profile, name)


def _scripted_model(site: Site) -> Iterator[Part]:
    if site.model_url is not None:
        yield Part(
            name="scripted-model",
            argv=[
                *(sys.executable, "-m", "benchwire.deploy.scripted", "--port", str(site.model_port)),
                *(("--script", str(site.settings.cassette.absolute())) if site.settings.cassette else ()),
            ],
            env=_common(site),
            health=Served(f"{site.model_url}/v1/models"),
            stage=Stage.SERVICES,
        )


def _common(site: Site) -> dict[str, str]:
    """What every part is told. The key of the model is for the agent only."""
    inherited = {key: value for key, value in site.environment.items() if not key.startswith(_MODEL_PREFIX)}
    return inherited | {
        "PYTHONUNBUFFERED": "1",  # the last words of a part that dies are in its log
        "BENCHWIRE_DATA": str(site.data),
        "BENCHWIRE_HOST": site.settings.host,
        "BENCHWIRE_NATS_URL": site.nats_url,
        "BENCHWIRE_OBSERVABILITY_HOST": site.settings.observability_host,
        "BENCHWIRE_OBSERVABILITY_PORT": str(site.observability_port),
        "BENCHWIRE_DOCUMENTS_PORT": str(site.documents_port),
        "BENCHWIRE_DOCUMENTS_URL": site.environment.get("BENCHWIRE_DOCUMENTS_URL") or site.documents_url,
    }


def _model_access(site: Site) -> dict[str, str]:
    if site.model_url is None:
        return {key: value for key, value in site.environment.items() if key.startswith(_MODEL_PREFIX)}
    # A proxy of this machine has no way to its loopback.
    beside_proxy = ",".join(filter(None, [site.environment.get("NO_PROXY"), "127.0.0.1"]))
    return {
        "ANTHROPIC_BASE_URL": site.model_url,
        "ANTHROPIC_API_KEY": "no-key-is-asked-for",  # a secret is taken out of what is published: no word that stands there
        "BENCHWIRE_MODEL": "scripted",  # whose answers these are is in the log
        "NO_PROXY": beside_proxy,
        "no_proxy": beside_proxy,
    }


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
