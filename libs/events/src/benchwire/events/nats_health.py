"""``python -m benchwire.events.nats_health STORE``: whether the NATS server of a container can write, for its health check.

A server that ran out of room refuses whatever is written to that stream from then on, until it is started again, also when there is room. So it
is ended, and whoever keeps it starts the next one. It is not ended sooner: started on a full disk, it might not come up.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchwire.events import nats_server

_TIMEOUT_S = 3.0
_WRITE_ERROR = "write error"  # in what healthz says of a stream whose file could not be written
_ROOM_BYTES = 16 << 20
# The environment may name a proxy, and that one has no way to this machine's loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def ailment(monitoring: str) -> str:
    """What the server that tells how it is at this URL says is wrong with one of its streams; empty when nothing.

    Raises ``OSError`` when it says nothing that can be read: then it is too busy, frozen, or not there.
    """
    try:
        with _open(f"{monitoring}/healthz", timeout=_TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as answer:
        with answer, contextlib.suppress(ValueError, AttributeError):
            return str(json.load(answer).get("error", answer.code))
        return str(answer.code)
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from error


def is_stuck(ailment: str, store: Path) -> bool:
    """Whether a server with this ``ailment`` cannot get well by itself any more, and another start would help. Raises ``OSError``."""
    return _WRITE_ERROR in ailment and shutil.disk_usage(store).free >= _ROOM_BYTES


def servers_in(store: Path) -> Iterator[tuple[int, str]]:
    """Process and monitoring URL of each server that runs on this machine, and has written down in ``store`` where it listens."""
    for file in store.glob("nats-server_*.ports"):
        pid = int(file.stem.rpartition("_")[2])
        with contextlib.suppress(psutil.Error):  # one that was killed leaves its file
            url = nats_server.monitoring_of(store, pid)
            if url is not None and psutil.Process(pid).name() == "nats-server":
                yield pid, url


def ended_if_stuck(pid: int, ailment: str, store: Path) -> bool:
    """Whether the server was ended, so that whoever keeps it starts another. Raises ``OSError`` when this user may not."""
    if not is_stuck(ailment, store):
        return False
    with contextlib.suppress(ProcessLookupError):
        # Asked to end, it exits with 0, and systemd believes that this was wanted. What it has acknowledged, a kill does not take from it.
        os.kill(pid, signal.SIGKILL)
    return True


def main() -> None:
    """The command."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchwire.events.nats_health STORE")
    store = Path(sys.argv[1])
    servers = list(servers_in(store))
    if not servers:
        sys.exit(f"no server that runs here has written down in {store} where it listens")
    for pid, url in servers:
        try:
            wrong = ailment(url)
            ended_if_stuck(pid, wrong, store)
        except OSError as error:
            sys.exit(f"{url}: {error}")
        if wrong:
            sys.exit(wrong)


if __name__ == "__main__":
    main()
