"""Making a place for a lab on this machine: the data directory and its lock, the ports, the directory for sockets."""

import contextlib
import errno
import fcntl
import hashlib
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import psutil

from benchwire.boards.virtual.control import MAX_PATH_BYTES
from benchwire.deploy.board.profiles import virtual_profile
from benchwire.deploy.parts import Site, board_names, has_model
from benchwire.deploy.settings import Settings
from benchwire.events import nats_server
from benchwire.events.event import token

_LOOPBACK = "127.0.0.1"
# Below the ports that kernels give to outgoing connections, one of which could else take ours between choosing and binding.
_FREE_PORTS = range(20_000, 32_000)
_LONGEST_SUFFIX = ".board.json.4194304"
_LIKELY_NAME_BYTES = 24  # of boards that are added later; a longer name may find no room


class CannotStart(Exception):
    """The lab cannot start; the sentence names the part. ``last_words`` are the last lines of its log, which is in ``log``."""

    def __init__(self, sentence: str, *, last_words: list[str] | None = None, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.last_words = last_words or []
        self.log = log


@contextlib.contextmanager
def prepared(settings: Settings, environment: Mapping[str, str]) -> Iterator[Site]:
    """A place for one lab, held until the context is left. Raises ``CannotStart``, or ``IllegalToken`` for a bad host name."""
    token(settings.host, "host")
    try:
        settings = msgspec.structs.replace(settings, virtual=[virtual_profile(name) for name in settings.virtual])
    except LookupError as error:
        raise CannotStart(str(error)) from error
    data = settings.data.absolute()
    with locked(data), _run_dir(data, settings.virtual) as run_dir:
        yield _site(settings, environment, data, run_dir)


def _site(settings: Settings, environment: Mapping[str, str], data: Path, run_dir: Path) -> Site:
    chosen: set[int] = set()
    observability = _port("observability", settings.observability_host, settings.observability_port, chosen)
    documents = _port("documents", settings.documents_host, settings.documents_port, chosen)
    nats_url, nats_argv = settings.nats_url, list[str]()
    if not nats_url:
        port = _port("nats", _LOOPBACK, settings.nats_port, chosen)
        nats_url, nats_argv = f"nats://{_LOOPBACK}:{port}", _nats_argv(data / "nats", port)
    return Site(
        settings=settings,
        data=data,
        run_dir=run_dir,
        observability_port=observability,
        documents_port=documents,
        model_port=None
        if has_model(environment) and settings.cassette is None
        else _port("scripted-model", _LOOPBACK, 0, chosen),
        nats_url=nats_url,
        nats_argv=nats_argv,
        environment=dict(environment),
    )


def _nats_argv(store: Path, port: int) -> list[str]:
    try:
        return nats_server.command(store, port=port, monitored=True)
    except FileNotFoundError as error:
        raise CannotStart(f"nats: {error}") from error


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Holds the data directory. The kernel lets the lock go with its owner, however that one ends, so no lock is ever stale.

    Raises ``CannotStart``.
    """
    try:
        for folder in (data, data / "logs", data / "nats", data / "boards"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = (data / "up.lock").open("a+")
    except OSError as error:
        raise CannotStart(f"the data directory {data} cannot be used: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise CannotStart(
                f"another lab runs on {data} (process {holder}); stop it first, or give another directory with --data"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextlib.contextmanager
def _run_dir(data: Path, profiles: list[str]) -> Iterator[Path]:
    """A directory for sockets, gone afterwards: in the data directory, or in a temporary one when that path is too long.

    Its name follows from the data directory, so that the next lab there removes what a killed one left.
    """
    outside = f"benchwire-{os.getuid()}-{hashlib.sha256(bytes(data)).hexdigest()[:12]}"
    places = (data / "run", Path(tempfile.gettempdir()) / outside, Path("/tmp") / outside)  # noqa: S108 - made 0700 below
    longest = max([_LIKELY_NAME_BYTES, *map(len, board_names(profiles))]) + len(_LONGEST_SUFFIX)
    path = next((place for place in places if len(bytes(place)) + 1 + longest <= MAX_PATH_BYTES), places[-1])
    with contextlib.suppress(FileNotFoundError):
        _remove(path)
    try:
        path.mkdir(mode=0o700)  # not exist_ok: in a directory for all, one that is there is somebody else's
    except OSError as error:
        raise CannotStart(f"the directory {path} for sockets cannot be made: {error.strerror}") from error
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise CannotStart(f"{path} is in the way, and it is not this user's directory")
    shutil.rmtree(path)


def _port(part: str, host: str, wanted: int, chosen: set[int]) -> int:
    """``wanted`` when it is free, or a free port for 0. Raises ``CannotStart`` that says who has it."""
    if wanted in chosen:
        raise CannotStart(f"{part}: port {wanted} is already meant for another part")
    port = wanted or _free_port(host, chosen)
    if trouble := why_not(host, port):
        raise CannotStart(f"{part}: {trouble}")
    chosen.add(port)
    return port


def _free_port(host: str, chosen: set[int]) -> int:
    tried = random.sample(_FREE_PORTS, 200)
    free = next((port for port in tried if port not in chosen and not why_not(host, port)), None)
    if free is None:
        raise CannotStart(f"no free port on {host} between {_FREE_PORTS.start} and {_FREE_PORTS.stop}")
    return free


def why_not(host: str, port: int) -> str:
    """Why nothing can listen there; empty when something can."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"port {port} is taken{_by(port)}"
        return f"nothing can listen on {host} port {port}: {error.strerror}"
    except OverflowError:
        return f"{port} is not a port"
    return ""


def _by(port: int) -> str:
    """Who listens there, as far as this user may know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid is not None:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""
