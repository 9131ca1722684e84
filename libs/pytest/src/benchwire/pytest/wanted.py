"""What a test wants of its board: the marker ``board`` and the command line."""

import os
import socket

import msgspec
import pytest


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A named ``device``, or any board that has the ``profile`` and all ``labels``."""

    device: str | None = None
    host: str | None = None
    profile: str | None = None
    labels: dict[str, str] = {}

    def __str__(self) -> str:
        labels = (f"{key}={value}" for key, value in self.labels.items())
        return (
            " ".join(filter(None, [self.device, self.host and f"on {self.host}", self.profile, *labels])) or "any board"
        )


def of_marker(marker: pytest.Mark | None) -> Wanted:
    """``@pytest.mark.board("esp32c3", camera="yes")``. Raises ``pytest.UsageError`` for what cannot be meant so."""
    if marker is None:
        return Wanted()
    if len(marker.args) > 1 or not all(isinstance(one, str) for one in marker.args):
        raise pytest.UsageError("the marker board takes one profile, then device=, host=, or labels")
    labels = dict(marker.kwargs)
    device, host = labels.pop("device", None), labels.pop("host", None)
    profile = marker.args[0] if marker.args else labels.pop("profile", None)
    return Wanted(device=device, host=host, profile=profile, labels={key: str(value) for key, value in labels.items()})


def holder(config: pytest.Config) -> str:
    """Who has the board: this run, and which worker of it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    return config.getoption("benchwire_holder") or "/".join(
        filter(None, [f"pytest@{socket.gethostname()}", str(os.getpid()), worker])
    )
