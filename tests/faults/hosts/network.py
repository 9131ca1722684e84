"""Hosts with an address of their own: network namespaces that have no name, and so leave none behind.

A namespace lives as long as a process is in it. Each of these is held by a process that the kernel kills together with the test that owns it; its
interfaces end with it. Nothing is made in the namespace of the machine itself, so any number of tests may use the same addresses at once.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any

from benchwire.events import child

_CLONE_NEWNET = 0x40000000  # <linux/sched.h>
_SWITCH = Path(__file__).with_name("switch.py")

Process = asyncio.subprocess.Process


@cache
def unavailable() -> str | None:
    """Why hosts cannot be made here; None when they can."""
    missing = [tool for tool in ("ip", "unshare", "nsenter", "setpriv") if shutil.which(tool) is None]
    if missing:
        return f"network namespaces need {', '.join(missing)}"
    # The whole way once: to be root is neither enough in a container nor needed in a user namespace.
    script = "ip link set lo up && ip link add bw0 type veth peer name bw1 && ip link set bw0 up"
    tried = subprocess.run(
        child.dying_with_owner(["unshare", "--net", "sh", "-c", script]), capture_output=True, text=True, check=False
    )
    if tried.returncode:
        why = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"network namespaces are not allowed here ({why}); they are for root, and under `unshare --map-root-user --net`"
    return None


class Host:
    """A namespace with one network card."""

    def __init__(self, name: str, number: int, pid: int) -> None:
        self.name = name
        self.number = number
        self.address = f"10.77.0.{number}"
        self.pid = pid

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` on this host."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *argv]

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and whatever it starts, is on this host for the time of the context."""
        with Path("/proc/thread-self/ns/net").open() as before, Path(f"/proc/{self.pid}/ns/net").open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """The hosts by name, and the switch between them."""

    def __init__(self, hosts: Mapping[str, Host], switch: Process) -> None:
        self.hosts = hosts
        self._switch = switch
        self._telling = asyncio.Lock()

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    async def treat(self, one: Sequence[str], other: Sequence[str], *, back: bool = True, **treatment: float) -> None:
        """Frames from ``one`` to ``other`` are treated so from now on; those ``back``, too, unless it is said.

        ``loss``, ``duplicate`` and ``reorder`` are chances from 0 to 1, ``delay`` and ``jitter`` seconds; without any they pass as they are.
        """
        await self._tell(one, other, treatment)
        if back:
            await self._tell(other, one, treatment)

    async def cut(self, *hosts: str, of: Sequence[str] | None = None, back: bool = True) -> None:
        """Takes ``hosts`` off the network, or only off the hosts ``of``. Without ``back`` they still hear, and are not heard."""
        others = [name for name in (of or self.hosts) if name not in hosts]
        await self.treat(hosts, others, back=back, loss=1.0)

    async def mend(self) -> None:
        """Every frame passes again."""
        await self.treat(list(self.hosts), list(self.hosts), back=False)

    async def _tell(self, one: Sequence[str], other: Sequence[str], treatment: Mapping[str, float]) -> None:
        told: dict[str, Any] = {
            "from": [self[name].number for name in one],
            "to": [self[name].number for name in other],
            "treatment": dict(treatment),
        }
        assert self._switch.stdin is not None
        assert self._switch.stdout is not None
        async with self._telling, asyncio.timeout(10.0):
            self._switch.stdin.write(json.dumps(told).encode() + b"\n")
            answer = await self._switch.stdout.readline()
        assert json.loads(answer) == told


@contextlib.asynccontextmanager
async def network(names: Sequence[str], *, at: str, seed: int = 1) -> AsyncGenerator[Network, None]:
    """Hosts of these names, all connected; the caller itself is on the host ``at`` for the time of the context."""
    async with AsyncExitStack() as stack:
        hosts = {name: Host(name, number, await _held(stack)) for number, name in enumerate(names, 1)}
        switching = await _held(stack)
        await asyncio.to_thread(_wired, list(hosts.values()), switching)
        argv = [sys.executable, str(_SWITCH), str(seed), *(str(one.number) for one in hosts.values())]
        inside = Host("switch", 0, switching).inside(argv)
        switch = await stack.enter_async_context(child.spawn(inside, stdin=child.PIPE, stdout=child.PIPE))
        made = Network(hosts, switch)
        await made.mend()
        stack.enter_context(hosts[at].entered())
        yield made


async def _held(stack: AsyncExitStack) -> int:
    """The id of a process in a new namespace."""
    argv = ["unshare", "--net", "--", "sh", "-c", "ip link set lo up && echo held && exec sleep infinity"]
    holder = await stack.enter_async_context(child.spawn(argv, stdout=child.PIPE))
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    return holder.pid


def _wired(hosts: Sequence[Host], switch: int) -> None:
    addresses = {host.address: f"02:00:00:00:00:{host.number:02x}" for host in hosts}
    for host in hosts:
        port, mac = f"p{host.number}", addresses[host.address]
        _ip(switch, f"link add {port} type veth peer name eth0 address {mac} netns {host.pid}")
        _ip(switch, f"link set {port} up")
        _ip(host.pid, f"address add {host.address}/24 dev eth0", "link set eth0 up")


def _ip(namespace: int, *commands: str) -> None:
    argv = ["nsenter", f"--net=/proc/{namespace}/ns/net", "--", "ip", "-batch", "-"]
    subprocess.run(child.dying_with_owner(argv), input="\n".join(commands), text=True, check=True, capture_output=True)


def environment() -> dict[str, str]:
    """This environment without what would change the lab: a model, other addresses, a proxy."""
    others = ("ANTHROPIC_", "BENCHWIRE_", "NATS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(others)}
