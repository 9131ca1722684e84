"""Who may call: those whose tokens are configured, and what each may do; or everybody on this machine, while none is.

The file of tokens is read again when it changes, so that a token is revoked without a restart. Once tokens were needed they stay needed
while the process lives: a file that was emptied, broken or removed opens nothing.
"""

import asyncio
import contextlib
import hmac
import logging
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchwire.events.settings import InvalidSettings, Secret
from benchwire.web import tokens
from benchwire.web.settings import WebSettings
from benchwire.web.tokens import EVERYTHING, BadTokens, Scope, Token

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
FROM_SETTINGS = "BENCHWIRE_TOKEN"  # no token in the file can have this name
_ANYBODY = "anybody"
_NOT_THE_GROUPS = 0o037  # that a group may read the file is how services of different users share it
_UNGUESSABLE_CHARS = 22  # 128 random bits in base64


class Caller(msgspec.Struct, frozen=True, eq=False):
    """Who calls. ``gone`` is set when the token is no longer good, so that what it has opened can be closed.

    ``is_guessable`` is of a token so short that trying helps.
    """

    name: str
    scopes: frozenset[Scope]
    is_known: bool = True
    is_guessable: bool = False
    gone: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def may(self, needed: Scope) -> bool:
        """Whether the token's scopes cover ``needed``."""
        return tokens.allowed(self.scopes, needed)


class _Known(msgspec.Struct, frozen=True):
    digest: bytes
    token: Token | None
    caller: Caller


class Callers:
    """Everybody who may call, as ``token`` (all scopes) and ``file`` say. ``now`` tells the time."""

    def __init__(
        self,
        *,
        token: Secret | None = None,
        file: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._file = file
        self._now = now
        self._state: _State | None = None
        self._trouble: str | None = None
        self._of_settings = [_of_settings(token)] if token else []
        self._of_file: list[_Known] = []
        self.needs_token = bool(self._of_settings)
        self.anybody = Caller(_ANYBODY, EVERYTHING, is_known=False)

    @classmethod
    def configured(cls, settings: WebSettings) -> "Callers":
        """As ``settings`` say, with the file read; for the start, off the loop. Raises ``InvalidSettings`` when the file cannot be used."""
        callers = cls(token=settings.token, file=settings.tokens_path)
        try:
            if (seen := _seen(settings.tokens_path, None)) is not None:
                callers._take(seen)
        except BadTokens as error:
            raise InvalidSettings(str(error)) from error
        return callers

    @property
    def warnings(self) -> list[str]:
        """What a person should look after, in sentences. Anybody may see them, so they do not say where the file is."""
        if self._trouble is None or self._file is None:
            return []
        return [self._trouble.replace(str(self._file), self._file.name)]

    def find(self, given: str) -> Caller | None:
        """Whose token ``given`` is. Every token is compared, each in constant time."""
        digest, found = tokens.hashed(given).encode(), None
        for one in (*self._of_settings, *self._of_file):
            if hmac.compare_digest(digest, one.digest):
                found = one
        if found is None or found.caller.gone.is_set():
            return None
        return found.caller if found.token is None or found.token.is_good(self._now()) else None

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncGenerator[None, None]:
        """Looks after the file, and after what expires, for the time of the context."""
        following = asyncio.create_task(self._follow(), name="tokens")
        try:
            yield
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception:
                log.exception("the file of tokens could not be looked at")

    async def look(self) -> None:
        """Reads the file if it has changed, and parts with whoever has expired. A broken file changes nothing, and is told of."""
        try:
            if self._file is not None and (seen := await asyncio.to_thread(_seen, self._file, self._state)) is not None:
                self._take(seen)
        except BadTokens as error:
            if str(error) != self._trouble:
                log.warning("%s; the tokens that were good before stay good", error)
            self._trouble, self._state = str(error), _BROKEN
        now = self._now()
        for one in self._of_file:
            if one.token is not None and not one.token.is_good(now):
                one.caller.gone.set()

    def _take(self, seen: "_Seen") -> None:
        before = {one.token: one for one in self._of_file}
        self._of_file = [before.pop(one) if one in before else _known(one) for one in seen.tokens]
        for one in before.values():
            one.caller.gone.set()
        # What is in both has what the file allows it, also after it was revoked there: who exports a token of few scopes means no more.
        listed = {one.digest for one in self._of_file}
        self._of_settings = [one for one in self._of_settings if one.digest not in listed]
        if seen.tokens and not self.needs_token:
            self.needs_token = True
            self.anybody.gone.set()
        self._state = seen.state
        self._trouble = (
            f"the file of tokens {self._file} is open to other users: chmod 600 it" if seen.is_open else None
        )
        if self._trouble:
            log.warning(self._trouble)


_State = tuple[int, ...]
_BROKEN: _State = ()


class _Seen(msgspec.Struct, frozen=True):
    state: _State
    tokens: list[Token]
    is_open: bool


def _of_settings(token: Secret) -> _Known:
    caller = Caller(FROM_SETTINGS, EVERYTHING, is_guessable=len(token) < _UNGUESSABLE_CHARS)
    if caller.is_guessable:
        log.warning(
            "%s has %d characters; `benchwire token create` makes one that nobody guesses", FROM_SETTINGS, len(token)
        )
    return _Known(tokens.hashed(token).encode(), None, caller)


def _known(token: Token) -> _Known:
    return _Known(token.sha256.encode(), token, Caller(token.name, frozenset(token.scopes)))


def _seen(file: Path, before: _State | None) -> _Seen | None:
    """The file as it is now; None when nothing has changed since ``before``, or it has never been there. Raises ``BadTokens``."""
    try:
        found = file.stat()
    except FileNotFoundError:
        if before is None:
            return None
        raise BadTokens(f"the file of tokens {file} was removed") from None
    except OSError as error:
        raise BadTokens(f"the file of tokens {file} cannot be read: {error.strerror}") from error
    # A file that is replaced within one tick of the clock is another inode.
    state = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
    if state == before:
        return None
    return _Seen(state, tokens.read(file), is_open=bool(found.st_mode & _NOT_THE_GROUPS))
