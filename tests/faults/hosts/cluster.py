"""Three NATS servers that keep one log together, each on a host of its own, and a leaf node for the boards of a room."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from tests.faults.hosts.network import Host, Network, Process

from benchwire.events import child, nats_server, settings
from benchwire.events.bus import STREAM, Bus
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually

NODES = ("nats-1", "nats-2", "nats-3")
LEAF = "room"
REPLICAS = len(NODES)

# A cable that was pulled says nothing: what is not heard of for two pings is gone.
_COMMON = """
server_name: {name}
listen: "{address}:4222"
http: "127.0.0.1:8222"
ping_interval: "2s"
ping_max: 2
write_deadline: "5s"
"""
_NODE = """
jetstream {{ store_dir: {store}, max_mem: 256MB, max_file: 8GB, domain: lab }}
cluster {{
  name: lab
  listen: "{address}:6222"
  ping_interval: "2s"
  routes: [{routes}]
}}
leafnodes {{ listen: "{address}:7422" }}
"""
# Without the domain said twice, nobody behind the leaf node is answered by JetStream: a server without it hands on no $JS.API of its own accord.
_LEAF = """
default_js_domain: {{ "$G": lab }}
leafnodes {{
  reconnect: "1s"
  remotes: [{{ urls: [{hubs}] }}]
}}
"""


class Cluster:
    """The servers by name, with the plain files above, or with those that ``benchwire deploy init`` wrote to ``laid_out``."""

    def __init__(
        self, network: Network, directory: Path, stack: AsyncExitStack, *, laid_out: Path | None = None
    ) -> None:
        self.network = network
        self.directory = directory
        self.laid_out = laid_out
        self.url = ",".join(f"nats://{network[name].address}:4222" for name in NODES)
        self.processes: dict[str, Process] = {}
        self._stack = stack

    def settings(self, url: str | None = None) -> NatsSettings:
        """How somebody who may do everything reaches it, from any host."""
        if self.laid_out is not None:
            return settings.load(NatsSettings, written(self.laid_out / "admin" / "admin.env"))
        return NatsSettings(nats_url=url or self.url, nats_replicas=REPLICAS)

    def url_of(self, *names: str) -> str:
        """Of these servers only."""
        return ",".join(f"nats://{self.network[name].address}:4222" for name in names)

    async def start(self, *names: str) -> None:
        """Starts servers, or starts them again with what is in their store."""
        for name in names:
            host = self.network[name]
            file = await asyncio.to_thread(self._file, host)
            argv = host.inside([nats_server.binary(), "--config", str(file)])
            with (self.directory / f"{name}.log").open("ab") as log:
                spawned = child.spawn(argv, stdout=log, stderr=log, grace_s=3.0)
                self.processes[name] = await self._stack.enter_async_context(spawned)

    async def kill(self, name: str) -> None:
        """kill -9."""
        self.processes[name].send_signal(signal.SIGKILL)
        await child.exited(self.processes[name])

    def _file(self, host: Host) -> Path:
        if self.laid_out is not None:
            (self.directory / "on" / host.name / "nats").mkdir(parents=True, exist_ok=True)
            return self.laid_out / "hosts" / host.name / "nats-server.conf"
        file = self.directory / f"{host.name}.conf"
        file.write_text(self._configuration(host))
        return file

    def _configuration(self, host: Host) -> str:
        common = _COMMON.format(name=host.name, address=host.address)
        if host.name not in NODES:
            return common + _LEAF.format(hubs=self._urls("nats-leaf", 7422))
        store = json.dumps(str(self.directory / host.name))
        return common + _NODE.format(address=host.address, store=store, routes=self._urls("nats-route", 6222))

    def _urls(self, scheme: str, port: int) -> str:
        return ", ".join(f'"{scheme}://{self.network[name].address}:{port}"' for name in NODES)

    async def meta_leader(self) -> str | None:
        """Who decides about streams and consumers, as the servers say that run; None while they say different things."""
        running = [name for name in NODES if self.processes[name].returncode is None]
        said = {await asyncio.to_thread(_meta_leader_by, self.network[name]) for name in running} - {None}
        return said.pop() if len(said) == 1 else None

    async def leads(self, bus: Bus, stream: str = STREAM) -> str | None:
        """Who leads a stream; None while nobody does."""
        with contextlib.suppress(NatsError, OSError, TimeoutError, APIError):
            async with asyncio.timeout(3.0):
                cluster = (await bus.js.stream_info(stream)).cluster
            return cluster.leader if cluster else None
        return None

    async def settled(self, bus: Bus, stream: str = STREAM) -> None:
        """Returns when the stream has a leader and every copy of it is current."""

        async def current() -> bool:
            with contextlib.suppress(NatsError, OSError, TimeoutError, APIError):
                cluster = (await bus.js.stream_info(stream)).cluster
                replicas = (cluster.replicas if cluster else None) or []
                return len(replicas) == REPLICAS - 1 and all(one.current and not one.offline for one in replicas)
            return False

        await eventually(current, within_s=60, what=f"every copy of {stream} is current")


def _meta_leader_by(host: Host) -> str | None:
    with host.entered(), contextlib.suppress(httpx.HTTPError, ValueError):
        answer = httpx.get("http://127.0.0.1:8222/jsz", timeout=2.0, trust_env=False)
        return (
            str(answer.json()["meta_cluster"]["leader"]) if "leader" in answer.json().get("meta_cluster", {}) else None
        )
    return None


def written(file: Path) -> dict[str, str]:
    """The variables of an environment file."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@contextlib.asynccontextmanager
async def cluster(
    network: Network, directory: Path, *, leaves: Sequence[str] = (), laid_out: Path | None = None
) -> AsyncGenerator[Cluster, None]:
    """All its servers run for the time of the context."""
    async with AsyncExitStack() as stack:
        made = Cluster(network, directory, stack, laid_out=laid_out)
        await made.start(*NODES, *leaves)
        yield made
