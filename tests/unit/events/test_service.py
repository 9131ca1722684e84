import socket
from pathlib import Path

import pytest
from nats.micro.service import ServiceConfig

from benchwire.events.service import ready, version_of


def test_what_is_not_installed_has_a_version_that_a_service_may_have() -> None:
    version = version_of("benchwire-nowhere")
    assert ServiceConfig(name="nowhere", version=version).version == "0.0.0"


def test_systemd_is_told_once_that_the_service_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        ready()
        assert systemd.recv(100) == b"READY=1"
        ready()
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
