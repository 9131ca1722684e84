"""A lab over many hosts: boards on two of them, one behind a leaf node, a runner on another, and the doors where its users are.

It is laid out by `benchwire deploy init`: TLS everywhere, and a user with a key of its own for each part of each host.
"""

import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from nats.errors import Error as NatsError
from tests.faults.harness import cassette
from tests.faults.harness.invariants import Rows, rows_in
from tests.faults.hosts.cluster import NODES, Cluster, written
from tests.faults.hosts.network import Network, Process, environment

from benchwire.events import child
from benchwire.events.bus import Bus
from benchwire.events.catalog import AGENT, FLASH_AGENT, OBSERVABILITY
from benchwire.events.presence import Presence
from benchwire.events.testing.eventually import eventually

BEHIND_THE_LEAF = "bench-2"
BENCHES = {"bench-1": {"esp32c3-1": "esp32c3"}, BEHIND_THE_LEAF: {"stm32f405-1": "stm32f405"}}
RUNNER = "runner"
DOORS = "doors"
PARTS = {
    **dict.fromkeys(NODES, "nats"),
    **dict.fromkeys(BENCHES, "flash-agent"),
    BEHIND_THE_LEAF: "leaf,flash-agent",
    RUNNER: "agent",
    DOORS: "observability,documents",
}
OBSERVABILITY_URL = "http://127.0.0.1:8765"
DOCUMENTS_URL = "http://127.0.0.1:8766"
PATIENCE_S = 90.0
GRACE_S = "45"  # no upload may be paused for so long by a fault, or it is taken for dead

_UNTOLD = (NatsError, OSError, TimeoutError)
_WORK = cassette.conversation(
    {"first": "work as"},
    cassette.bash("Now one.", "echo one; sleep 0.2"),
    cassette.bash("Now two.", "echo two; sleep 0.2"),
    {"text": "Done."},
)


class Lab:
    """What runs where, seen from the host with the doors."""

    def __init__(self, cluster: Cluster, bus: Bus, directory: Path, stack: AsyncExitStack) -> None:
        self.cluster = cluster
        self.network = cluster.network
        self.bus = bus
        self.directory = directory
        self.presence = Presence(bus)
        self.processes: dict[str, Process] = {}
        self._stack = stack

    async def start(self, host: str, name: str, *argv: str, env: Mapping[str, str] | None = None) -> None:
        """Starts a module of the product on a host, with the data directory of that host."""
        told = self._environment(host, argv[0]) | {"BENCHWIRE_ACK_WAIT_S": "3", "HOME": str(self.directory)}
        inside = self.network[host].inside([sys.executable, "-m", *argv])
        with (self.directory / f"{name}.log").open("ab") as log:
            spawned = child.spawn(
                inside, env=environment() | told | dict(env or {}), stdout=log, stderr=log, grace_s=5.0
            )
            self.processes[name] = await self._stack.enter_async_context(spawned)

    def _environment(self, host: str, module: str) -> dict[str, str]:
        part = module.rpartition(".")[2].replace("_", "-")
        assert self.cluster.laid_out is not None
        file = self.cluster.laid_out / "hosts" / host / f"{part}.env"
        return written(file) if file.exists() else {}

    async def bench(self, host: str) -> None:
        """A host's boards and its flash agent."""
        run_dir = self.data_of(host) / "v"
        for board, profile in BENCHES[host].items():
            flash_file = self.flash_file(host, board)
            argv = (profile, "--name", board, "--run-dir", str(run_dir), "--flash-file", str(flash_file))
            await self.start(host, board, "benchwire.boards.virtual", *argv)
        alone = {"BENCHWIRE_VIRTUAL_DIR": str(run_dir), "BENCHWIRE_PORTS": "off", "BENCHWIRE_PROBES": "off"}
        await self.start(host, host, "benchwire.flash_agent", env=alone)

    async def runner(self) -> None:
        """A runner with the model beside it."""
        script, port = self.directory / "cassette.json", self.directory / "model.port"
        script.write_text(json.dumps(cassette.cassette(_WORK, delay_s=0.2)))
        model = ("benchwire.deploy.scripted", "--script", str(script), "--port-file", str(port))
        await self.start(RUNNER, "model", *model)
        await eventually(port.exists, within_s=PATIENCE_S, what="the model listens")
        env = {
            "BENCHWIRE_RUNNER": RUNNER, "BENCHWIRE_SANDBOX": "limits",
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port.read_text().strip()}",
        }  # fmt: skip
        await self.start(RUNNER, RUNNER, "benchwire.agent", env=env)

    def data_of(self, host: str) -> Path:
        """Where a host keeps its own things."""
        return self.directory / "on" / host

    def flash_file(self, host: str, board: str) -> Path:
        """What a board's flash holds."""
        return self.directory / f"{host}-{board}.flash"

    def rows(self) -> list[Rows]:
        """Every projection of this lab."""
        of_benches = [one for host in BENCHES for one in rows_in(self.data_of(host), flash_host=host)]
        return [*rows_in(self.data_of(DOORS), doors=True), *rows_in(self.data_of(RUNNER), runner=True), *of_benches]

    async def who_is_there(self) -> set[tuple[str, str]]:
        """Service and name of everybody who is announced."""
        with contextlib.suppress(*_UNTOLD):
            return {(one.service, one.name) for one in await self.presence.everyone()}
        return set()

    async def ailment(self) -> str:
        """Who is not there, which door is not healthy, or which board cannot be had; empty when all is well."""
        wanted = {(AGENT, RUNNER), (OBSERVABILITY, OBSERVABILITY), *((FLASH_AGENT, host) for host in BENCHES)}
        there = await self.who_is_there()
        if missing := wanted - there:
            return f"not there: {missing}"
        try:
            async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
                for url in (OBSERVABILITY_URL, DOCUMENTS_URL):
                    if (answer := await http.get(f"{url}/health")).status_code != httpx.codes.OK:
                        return f"{url}: {answer.text[:500]}"
                devices = (await http.get(f"{OBSERVABILITY_URL}/api/devices")).json()["devices"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            return repr(error)
        lacking = [one for one in devices if one["state"] == "offline"]
        return f"boards: {lacking}" if lacking or len(devices) != sum(map(len, BENCHES.values())) else ""

    async def well(self) -> None:
        """Returns when the lab is well."""
        said: list[str] = []

        async def is_well() -> bool:
            said[:] = [await self.ailment()]
            return not said[0]

        try:
            await eventually(is_well, within_s=PATIENCE_S, what="everything is well")
        except AssertionError as error:
            raise AssertionError(f"{error}: {said}") from None

    def complaints(self) -> list[str]:
        """What any part logged as an error."""
        logs = sorted(self.directory.glob("*.log"))
        return [f"{log.name}: {line}" for log in logs for line in log.read_text().splitlines() if " ERROR " in line]


async def laid_out(network: Network, directory: Path) -> Path:
    """What `benchwire deploy init` writes for these hosts: keys, certificates, and what each user may say."""
    out = directory / "laid-out"
    argv = ["deploy", "init", str(out), "--etc", f"{out}/hosts/{{host}}", "--data", f"{directory}/on/{{host}}"]
    for name, parts in PARTS.items():
        argv += ["--host", f"{name}={network[name].address}:{parts}"]
    async with child.spawn([sys.executable, "-m", "benchwire.deploy", *argv], stdout=child.DEVNULL) as process:
        assert await child.exited(process) == 0
    return out


@contextlib.asynccontextmanager
async def lab_over(cluster: Cluster, bus: Bus, directory: Path) -> AsyncGenerator[Lab, None]:
    """A lab on these hosts, entered when all of it is well."""
    async with AsyncExitStack() as stack:
        lab = Lab(cluster, bus, directory, stack)
        await lab.start(DOORS, "observability", "benchwire.observability")
        await lab.start(DOORS, "documents", "benchwire.documents", env={"BENCHWIRE_DOCUMENTS_GRACE_S": GRACE_S})
        for host in BENCHES:
            await lab.bench(host)
        await lab.runner()
        await lab.well()
        yield lab
