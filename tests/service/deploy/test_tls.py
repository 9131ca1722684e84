"""A part of a lab with certificates, and its NATS server that goes away and comes back."""

import sys
from asyncio import sslproto
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from benchwire.deploy.hosts import writing
from benchwire.deploy.hosts.described import Host, Lab
from benchwire.events import child, nats_server
from benchwire.events.bus import connected
from benchwire.events.settings import NatsSettings, load
from benchwire.events.testing.eventually import eventually
from benchwire.web.testing import free_ports


@pytest.fixture
def _as_in_debian_12(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2 cannot abort a TLS transport that was closed twice."""

    def abort(self: Any) -> None:
        self._closed = True
        self._ssl_protocol._abort()

    if sys.version_info < (3, 12):
        monkeypatch.setattr(sslproto._SSLProtocolTransport, "abort", abort)


@pytest.mark.usefixtures("_as_in_debian_12")
async def test_a_connection_with_tls_is_back_each_time_its_server_is_and_nothing_is_complained_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    lab = Lab(hosts={"here": Host(parts=["nats", "agent"])}, client_port=port, monitor_port=0)
    out, data = tmp_path / "out", tmp_path / "data"
    (data / "nats").mkdir(parents=True)
    writing.write(out, lab, writing.Places(etc=PurePosixPath(out / "hosts" / "{host}"), data=PurePosixPath(data)))
    lines = (out / "admin" / "admin.env").read_text().splitlines()
    settings = load(NatsSettings, dict(line.split("=", 1) for line in lines))
    argv = [nats_server.binary(), "--config", str(out / "hosts" / "here" / "nats-server.conf")]
    server = child.spawn(argv, grace_s=3.0)
    process = await server.__aenter__()
    try:
        async with connected(settings, name="part") as bus:
            for _ in range(2):
                process.kill()
                await process.wait()
                await eventually(lambda: not bus.connected, within_s=20, what="the connection to be cut")
                await server.__aexit__(None, None, None)
                server = child.spawn(argv, grace_s=3.0)
                process = await server.__aenter__()
                await eventually(lambda: bus.connected, within_s=20, what="the connection to be back")
                assert await eventually(bus.answers, within_s=20)
    finally:
        await server.__aexit__(None, None, None)
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []
