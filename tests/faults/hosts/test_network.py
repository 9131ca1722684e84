"""The hosts themselves: each has a network of its own, what is done to its frames is done, and nothing of it is left behind."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
from tests.faults.hosts.network import Network, network, unavailable

from benchwire.events import child
from benchwire.events.testing.eventually import eventually

ROOT = Path(__file__).resolve().parents[3]
PORT = 4000
ECHO = f"""
import socket
with socket.create_server(("0.0.0.0", {PORT})) as listening:
    print("listens", flush=True)
    while True:
        came, _ = listening.accept()
        with came:
            while piece := came.recv(65536):
                came.sendall(piece)
"""
OWNER = """
import asyncio
from tests.faults.hosts.network import network

async def main() -> None:
    async with network(["a", "b"], at="a"):
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def allowed() -> None:
    if why := unavailable():
        pytest.skip(why)


async def heard(hosts: Network, body: bytes = b"x", *, within_s: float = 30.0) -> float | None:
    """How long it took that the host ``b`` sent ``body`` back; None when it does not."""
    began = time.monotonic()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(hosts["b"].address, PORT)
            with contextlib.closing(writer):
                writer.write(body)
                if await reader.readexactly(len(body)) == body:
                    return time.monotonic() - began
    return None


async def test_hosts_reach_each_other_as_long_as_their_frames_are_carried() -> None:
    async with (
        network(["a", "b"], at="a") as hosts,
        child.spawn(hosts["b"].inside([sys.executable, "-c", ECHO]), stdout=child.PIPE) as echo,
    ):
        assert echo.stdout is not None
        assert await echo.stdout.readline() == b"listens\n"
        assert await heard(hosts) is not None
        body = os.urandom(1 << 20)
        assert await heard(hosts, body) is not None

        await hosts.treat(["a"], ["b"], back=False, delay=0.1)
        took_s = await heard(hosts)
        assert took_s is not None
        assert took_s >= 0.2

        for back in (True, False):
            await hosts.cut("b", back=back)
            assert await heard(hosts, within_s=1.0) is None
            await hosts.mend()
            assert await heard(hosts) is not None

        await hosts.treat(["a"], ["b"], loss=0.05, jitter=0.01, duplicate=0.05, reorder=0.1)
        assert await heard(hosts, body) is not None  # TCP repairs what this does to it


async def test_the_machine_s_own_network_is_not_touched() -> None:
    async with network(["a", "b"], at="a") as hosts:
        assert set(_interfaces()) == {"lo", "eth0"}
        assert hosts["a"].address in _addresses()
    assert hosts["a"].address not in _addresses()


async def test_nothing_is_left_of_hosts_whose_owner_was_killed() -> None:
    before = set(_interfaces())
    async with child.spawn([sys.executable, "-c", OWNER], cwd=ROOT, stdout=child.PIPE) as owner:
        assert owner.stdout is not None
        assert await owner.stdout.readline() == b"up\n"
        holders = psutil.Process(owner.pid).children(recursive=True)
        namespaces = await asyncio.to_thread(_namespaces, holders) - await asyncio.to_thread(
            _namespaces, [psutil.Process()]
        )
        assert len(namespaces) == 3
        owner.send_signal(signal.SIGKILL)
        await child.exited(owner)
        await eventually(lambda: not any(map(_runs, holders)), what="the processes that held them are gone")
    assert set(_interfaces()) == before
    assert not namespaces & await asyncio.to_thread(_namespaces, list(psutil.process_iter()))


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _addresses() -> set[str]:
    return {one.address for cards in psutil.net_if_addrs().values() for one in cards}


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _namespaces(processes: Iterable[psutil.Process]) -> set[int]:
    found = set()
    for one in processes:
        with contextlib.suppress(OSError):  # it is gone
            found.add(Path(f"/proc/{one.pid}/ns/net").stat().st_ino)
    return found
