"""Servers as processes of their own: those of the lab, and those that they are compared with."""

import contextlib
import socket
import sqlite3
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import httpx
import psutil

from benchmarks.apart import ENVIRONMENT, ROOT
from benchwire.events import child, nats_server
from benchwire.events.bus import Bus
from benchwire.events.presence import Presence
from benchwire.events.testing.eventually import eventually

PATIENCE_S = 3600.0
_CALLS = 15
# What the sqlite3 module does by itself; what is usual for a server; and the same with a commit that survives a power cut.
AS_IT_COMES = ""
WAL_NORMAL = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
WAL_FULL = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"


class Service:
    """A service that runs: its port, how to call it, and its process."""

    def __init__(self, port: int, http: httpx.AsyncClient, pid: int, file: Path) -> None:
        self.port = port
        self.http = http
        self.file = file
        self._process = psutil.Process(pid)

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @property
    def resident_mb(self) -> float:
        """Its resident memory."""
        return resident_mb(self._process)

    @property
    def cpu_s(self) -> float:
        """What it has used of a core so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def events(self) -> int:
        """How many events its SQLite file holds, as anybody else reads it who opens it."""
        with contextlib.closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM events").fetchone()[0])


@contextlib.asynccontextmanager
async def observability(nats_url: str, data: Path, **settings: str) -> AsyncGenerator[Service, None]:
    """The service, once it is healthy; ``settings`` are names of ``BENCHWIRE_`` variables in lower case."""
    async with _of_the_lab("observability", nats_url, data, settings) as service:
        yield service


@contextlib.asynccontextmanager
async def documents(nats_url: str, data: Path, **settings: str) -> AsyncGenerator[Service, None]:
    """The same with the document store."""
    async with _of_the_lab("documents", nats_url, data, settings) as service:
        yield service


@contextlib.asynccontextmanager
async def _of_the_lab(
    name: str, nats_url: str, data: Path, settings: Mapping[str, str]
) -> AsyncGenerator[Service, None]:  # fmt: skip
    port = free_port()
    given = {"nats_url": nats_url, "data": str(data), f"{name}_port": str(port), **settings}
    environment = {f"BENCHWIRE_{key.upper()}": value for key, value in given.items()}
    argv = [sys.executable, "-m", f"benchwire.{name}"]
    async with _serving(argv, port, environment, data / name / "projection.sqlite") as service:
        yield service


@contextlib.asynccontextmanager
async def plain(
    place: Path, pragmas: str = AS_IT_COMES, *, app: str = "events", file: Path | None = None
) -> AsyncGenerator[Service, None]:
    """The plain design's app of that name, with a database in ``place``."""
    file = file or place / f"{app}.sqlite"
    file.parent.mkdir(parents=True, exist_ok=True)
    environment = {"PLAIN_FILE": str(file), "PLAIN_PRAGMAS": pragmas}
    async with app_of(f"benchmarks.plain.{app}:made", environment, file) as service:
        yield service


@contextlib.asynccontextmanager
async def app_of(factory: str, environment: Mapping[str, str], file: Path) -> AsyncGenerator[Service, None]:
    """Whatever ``factory`` makes, under uvicorn with what makes it fast."""
    port = free_port()
    argv = [
        *(sys.executable, "-m", "uvicorn", "--factory", factory, "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]
    async with _serving(argv, port, environment, file) as service:
        yield service


@contextlib.asynccontextmanager
async def _serving(
    argv: Sequence[str], port: int, environment: Mapping[str, str], file: Path
) -> AsyncGenerator[Service, None]:  # fmt: skip
    async with (
        child.spawn(argv, cwd=ROOT, env={**ENVIRONMENT, **environment}, grace_s=5.0) as process,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, trust_env=False) as http,
    ):

        async def healthy() -> bool:
            assert process.returncode is None, "the service has ended"
            with contextlib.suppress(httpx.TransportError):
                return (await http.get("/health")).status_code == 200
            return False

        await eventually(healthy, within_s=PATIENCE_S)
        yield Service(port, http, process.pid, file)


@contextlib.asynccontextmanager
async def agent(bus: Bus, data: Path, **settings: str) -> AsyncGenerator[psutil.Process, None]:
    """A runner of agents, once it is there; ``settings`` may have ``anthropic_base_url``, the endpoint of the model."""
    model = settings.pop("anthropic_base_url", "http://127.0.0.1:9")  # nobody listens there
    given = {"data": str(data), "runner": "runner-1", "log_level": "WARNING", **settings}
    async with _announced(bus, "benchwire.agent", {**_of(bus, given), "ANTHROPIC_BASE_URL": model}) as process:
        yield process


@contextlib.asynccontextmanager
async def flash_agent(bus: Bus, data: Path) -> AsyncGenerator[psutil.Process, None]:
    """A flash agent without boards, once it is there."""
    given = {"data": str(data), "host": "bench", "ports": "off", "probes": "off", "log_level": "WARNING"}
    async with _announced(bus, "benchwire.flash_agent", _of(bus, given)) as process:
        yield process


def _of(bus: Bus, settings: Mapping[str, str]) -> dict[str, str]:
    return {f"BENCHWIRE_{key.upper()}": value for key, value in {"nats_url": bus.settings.nats_url, **settings}.items()}


@contextlib.asynccontextmanager
async def _announced(bus: Bus, module: str, environment: Mapping[str, str]) -> AsyncGenerator[psutil.Process, None]:
    argv = [sys.executable, "-m", module]
    async with child.spawn(argv, cwd=ROOT, env={**ENVIRONMENT, **environment}, grace_s=5.0) as process:

        async def there() -> bool:
            assert process.returncode is None, f"{module} has ended"
            return any(one.pid == process.pid for one in await Presence(bus).everyone())

        await eventually(there, within_s=PATIENCE_S, what=f"{module} to be there")
        yield psutil.Process(process.pid)


async def searching(service: Service) -> None:
    """Waits until the search of an observability service has caught up: until then it takes half of a core."""

    async def searches() -> bool:
        return (await service.http.get("/events", params={"q": "compiled"})).status_code == 200

    await eventually(searches, within_s=PATIENCE_S)


@contextlib.asynccontextmanager
async def durable_nats(place: Path) -> AsyncGenerator[str, None]:
    """The URL of a nats-server that acknowledges only what is on the disk: by default it lets the disk have two minutes."""
    store, config = place / "store", place / "nats.conf"
    store.mkdir(parents=True)
    config.write_text("jetstream {\n  sync_interval: always\n}\n")
    argv = [*nats_server.command(store, port=0), "--config", str(config)]
    async with child.spawn(argv, stdout=child.DEVNULL, stderr=child.DEVNULL, grace_s=3.0) as process:
        yield await eventually(lambda: nats_server.ports_of(store, process.pid), what="nats-server to serve")


def resident_mb(process: psutil.Process) -> float:
    """The resident memory of a process."""
    return round(process.memory_info().rss / 1e6, 1)


async def call(http: httpx.AsyncClient, what: str, path: str, **query: str | int) -> None:
    """Prints the median of some calls, how many there are in all when the service says so, and the size of the answer."""
    took = []
    for _ in range(_CALLS):
        begun = time.perf_counter()
        answer = await http.get(path, params=query)
        took.append(time.perf_counter() - begun)
        answer.raise_for_status()
    total = answer.headers.get("x-total-count", "")
    print(f"{what:58} {1000 * statistics.median(took):8.1f} ms  {total:>7}  {len(answer.content) / 1024:8.1f} KiB")


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
