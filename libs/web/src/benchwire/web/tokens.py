"""Named tokens with scopes, kept hashed in one file that all services of a machine read and the command ``benchwire token`` writes.

What is kept of a token is its plain SHA-256. A slow, salted hash is for what people think up, which can be guessed; a token is 256 bits
from ``secrets``, which nobody can, whatever one guess costs. And it is checked with each call, thousands of times a second.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Generator, Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

FILE_NAME = "tokens.json"  # in the data directory, unless BENCHWIRE_TOKENS_FILE says otherwise
_PREFIX = "bw_"  # so that scanners for leaked secrets can know it
_RANDOM_BYTES = 32
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_OURS_ALONE = 0o600


class Scope(StrEnum):
    """What a token allows. ``control`` is for what reaches into running work or hardware, or destroys."""

    READ = "read"
    WRITE = "write"
    CONTROL = "control"


EVERYTHING = frozenset(Scope)


def allowed(scopes: Collection[Scope], needed: Scope) -> bool:
    """Whether ``scopes`` cover ``needed``: none implies another, except that each implies ``read``."""
    return needed in scopes or (needed is Scope.READ and bool(scopes))


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One token as it is kept; ``sha256`` is of the token itself, in hex. Without ``expires_at`` it is good until it is revoked."""

    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


class _Kept(msgspec.Struct, frozen=True):
    tokens: list[Token]


class BadTokens(ValueError):
    """The file of tokens cannot be used, and why."""


class NameTaken(ValueError):
    """There is a token of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a token {name!r} already; revoke it, or choose another name")


class NoSuchToken(LookupError):
    """There is no token of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no token {name!r}; `benchwire token list` shows those there are")


def hashed(token: str) -> str:
    """What is kept of ``token``."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def read(file: Path) -> list[Token]:
    """The tokens in ``file``; none when it is not there. Raises ``BadTokens``."""
    try:
        body = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadTokens(f"the file of tokens {file} cannot be read: {error.strerror}") from error
    try:
        tokens = msgspec.json.decode(body, type=_Kept).tokens
        _check(tokens)
    except ValueError as error:  # msgspec's are ValueErrors, too
        raise BadTokens(f"the file of tokens {file} is broken: {error}") from error
    return tokens


def _check(tokens: Iterable[Token]) -> None:
    names: set[str] = set()
    for one in tokens:
        checked_name(one.name)
        if one.name in names:
            raise ValueError(f"there are two tokens {one.name!r}")
        if not re.fullmatch(r"[0-9a-f]{64}", one.sha256):
            raise ValueError(f"what is kept of the token {one.name!r} is no SHA-256")
        if not one.scopes:
            raise ValueError(f"the token {one.name!r} has no scope")
        if any(moment is not None and moment.tzinfo is None for moment in (one.created_at, one.expires_at)):
            raise ValueError(f"a time of the token {one.name!r} does not say its zone")
        names.add(one.name)


def checked_name(name: str) -> str:
    """``name``, when a token can have it. Raises ``ValueError``."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:70]!r} cannot be a token's name: use lower-case letters, digits, '.', '_' and '-', 64 at most"
        )
    return name


def create(file: Path, name: str, scopes: Iterable[Scope], *, now: datetime, expires_at: datetime | None = None) -> str:
    """Makes a token and keeps its hash in ``file``; the token itself is returned and nowhere else.

    Raises ``NameTaken``, ``BadTokens``, ``ValueError`` for a name that cannot be, and ``OSError``.
    """
    given = frozenset(scopes)
    secret = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    kept = Token(
        name=checked_name(name),
        sha256=hashed(secret),
        scopes=tuple(scope for scope in Scope if scope in given),
        created_at=now,
        expires_at=expires_at,
    )

    def added(tokens: list[Token]) -> list[Token]:
        if any(one.name == name for one in tokens):
            raise NameTaken(name)
        return [*tokens, kept]

    _change(file, added)
    return secret


def revoke(file: Path, name: str) -> None:
    """Takes a token out of ``file``. Raises ``NoSuchToken``, ``BadTokens`` and ``OSError``."""

    def left(tokens: list[Token]) -> list[Token]:
        kept = [one for one in tokens if one.name != name]
        if len(kept) == len(tokens):
            raise NoSuchToken(name)
        return kept

    if not file.exists():
        raise NoSuchToken(name)
    _change(file, left)


def _change(file: Path, change: Callable[[list[Token]], list[Token]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file):
        _replace(file, change(read(file)))


@contextlib.contextmanager
def _locked(file: Path) -> Generator[None, None, None]:
    """One writer at a time. The lock is a file of its own, because the one with the tokens is replaced."""
    number = os.open(file.with_name(f".{file.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _OURS_ALONE)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _read_by_the_same(file: Path, draft: int) -> None:
    """Whoever was given the file keeps it: services may run as another user than the person who changes it."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        there = file.stat()
        os.fchown(draft, there.st_uid, there.st_gid)
        os.fchmod(draft, stat.S_IMODE(there.st_mode))


def _replace(file: Path, tokens: list[Token]) -> None:
    """Whoever reads meanwhile sees the old file or the new one, and a power cut leaves one of the two."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        number = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _OURS_ALONE)
    except FileExistsError:  # of a process with this id that died in the middle; the lock says that none is at work
        draft.unlink()
        number = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _OURS_ALONE)
    with os.fdopen(number, "wb") as out:
        _read_by_the_same(file, number)
        out.write(msgspec.json.format(msgspec.json.encode(_Kept(tokens))) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
