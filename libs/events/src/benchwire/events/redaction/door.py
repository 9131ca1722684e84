"""The way out: what an event is on the wire, without the secrets in it.

The JSON of an event is looked through once, by one automaton for all kinds; only what has a hint of a secret is looked at text by text. Ids and
digests are never touched, nor what only the model's endpoint can read (signatures, encrypted content), nor pictures.
"""

import logging
import os
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import re2  # type: ignore[import-untyped]

from benchwire.events import catalog
from benchwire.events.event import Event
from benchwire.events.live import SerialLine, TaskLog
from benchwire.events.redaction import kinds, names
from benchwire.events.redaction.kinds import NAMES, OWN, BadKind, Kind, marker
from benchwire.events.settings import InvalidSettings, NatsSettings, Secret

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 256 * 1024
_MOST_DEPTH = 100  # of what is looked at text by text
_MOST_KEY_LINES = 256  # of a private key that is printed line by line
_WHOLE_LINE_CHARS = 40  # the first of them is never shorter
_MOST_KEYS = 1024
_LINES = (SerialLine, TaskLog)
_KEY_HEADERS = ("Proc-Type:", "DEK-Info:", "Comment:", "Version:")
_TOO_DEEP = "[redacted: nested too deeply to be looked through]"
_KEY = marker("private key")
# What a block of the Messages API has for its endpoint alone, by the block's type.
_OPAQUE = {"thinking": "signature", "redacted_thinking": "data", "base64": "data", "compaction": "encrypted_content"}

Of = TypeVar("Of", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()


class Door:
    """Takes secrets out. ``counts`` says how many, by their kind; ``own`` are those that are known as they stand."""

    def __init__(self, own: Iterable[str] = (), *, extra: Iterable[Kind] = (), off: Collection[str] = ()) -> None:
        """``own`` are secrets as they stand; kinds that are ``off`` are not looked for."""
        self.own = tuple(sorted(set(own))) if OWN not in off else ()
        here = [*kinds.own(self.own), *(kind for kind in kinds.known() if kind.name not in off)]
        self._hinted = here
        self._always = list(extra)
        # Whether there is any hint costs half of what it does to tell which; nearly always there is none.
        self._any = _set_of([b"|".join(b"(?:%b)" % kind.hint for kind in self._hinted)] if self._hinted else [])
        self._which = _set_of(kind.hint for kind in self._hinted)
        self._in_keys: dict[str, int] = {}
        self.counts: Counter[str] = Counter()

    @property
    def is_extended(self) -> bool:
        """Whether kinds are looked for of which nobody here knows how they begin."""
        return bool(self._always)

    def body(self, event: Event) -> bytes:
        """The bytes of ``event`` as they may be published."""
        body = _encoder.encode(event)
        if isinstance(event, _LINES) and (self._in_keys or "PRIVATE KEY" in event.line):
            event = self._of_a_key(event)
            body = _encoder.encode(event)
        there = self._there(body, event)
        return _encoder.encode(self._struct(event, there)) if there else body

    def redacted(self, event: Of) -> Of:
        """``event`` as it is published: itself, when there is nothing to take out."""
        there = self._there(_encoder.encode(event), event)
        return self._struct(event, there) if there else event

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        there = self._there(_encoder.encode(text), None)
        return self._text(text, there) if there else text

    # -- what is there

    def _there(self, body: bytes, event: msgspec.Struct | None) -> list[Kind]:
        """The kinds that may be in what has this body."""
        found = set(self._which.Match(body)) if self._any.Match(body) else set()
        data = getattr(event, "data", None)
        if isinstance(data, bytes) and self._any.Match(data):  # which is base64 in the body
            found.update(self._which.Match(data))
        return [*(self._hinted[number] for number in sorted(found)), *self._always] if found or self._always else []

    def _of_a_key(self, event: SerialLine | TaskLog) -> SerialLine | TaskLog:
        """The lines of a private key are printed one by one; only the first and the last say what they are."""
        subject, line = catalog.subject_of(event), event.line
        left = self._in_keys.pop(subject, 0)
        if "-----BEGIN" in line and "PRIVATE KEY" in line and "-----END" not in line:
            if len(self._in_keys) < _MOST_KEYS:
                self._in_keys[subject] = _MOST_KEY_LINES
            return event
        if left == 0 or not _is_of_a_key(line, is_first=left == _MOST_KEY_LINES):
            return event
        if "-----END" not in line and left > 1:
            self._in_keys[subject] = left - 1
        self._count("private key", 1)
        without: Any = {"line": _KEY} if isinstance(event, TaskLog) else {"line": _KEY, "data": None}
        return msgspec.structs.replace(event, **without)

    # -- text by text

    def _text(self, text: str, there: Iterable[Kind], before: str = "") -> str:
        """``before`` is what ``text`` stands behind, when that tells what it is."""
        whole = data = f"{before}{text}".encode(errors="surrogatepass")
        for kind in there:
            data, number = kind.blotted(data)
            if number:
                self._count(kind.name, number)
        if data is whole:
            return text
        told = data.decode(errors="replace")
        return told.removeprefix(before)

    def _bytes(self, data: bytes, there: Iterable[Kind]) -> bytes:
        for kind in there:
            data, number = kind.blotted(data)
            if number:
                self._count(kind.name, number)
        return data

    def _value(self, value: Any, there: list[Kind], depth: int, before: str = "") -> Any:  # noqa: PLR0911 - one line per kind of value
        match value:
            case str():
                return self._text(value, there, before)
            case bytes():
                return self._bytes(value, there)
            case msgspec.Struct() | dict() | list() | tuple() if depth >= _MOST_DEPTH:
                return _TOO_DEEP if self._there(_encoder.encode(value), None) else value
            case msgspec.Struct():
                return self._struct(value, there, depth + 1)
            case dict():
                return self._dict(value, there, depth + 1)
            case list() | tuple():
                return type(value)(self._value(one, there, depth + 1) for one in value)
            case _:
                return value

    def _struct(self, struct: Of, there: list[Kind], depth: int = 0) -> Of:
        kept = _ids_of(type(struct))
        changed = {}
        for name in struct.__struct_fields__:
            if name not in kept:
                value = getattr(struct, name)
                after = self._value(value, there, depth + 1)
                if after is not value and after != value:
                    changed[name] = after
        return msgspec.structs.replace(struct, **changed) if changed else struct

    def _dict(self, given: dict[Any, Any], there: list[Kind], depth: int) -> dict[Any, Any]:
        kind = given.get("type")
        opaque = _OPAQUE.get(kind) if isinstance(kind, str) else None
        if kind == "thinking" and (instead := self._thought(given, there)) is not None:
            return instead
        made: dict[Any, Any] = {}
        for key, value in given.items():
            if isinstance(value, str) and (key == opaque or str(key).startswith("encrypted_")) and _is_opaque(value):
                made[key] = value
                continue
            before = f"{key}: " if isinstance(key, str) else ""
            made[self._key(key, there, made)] = self._value(value, there, depth, before)
        return made

    def _key(self, key: Any, there: list[Kind], made: Mapping[Any, Any]) -> Any:
        if not isinstance(key, str):
            return key
        told = name = self._text(key, there)
        number = 1
        while name in made:
            number += 1
            name = f"{told} {number}"
        return name

    def _thought(self, block: dict[Any, Any], there: list[Kind]) -> dict[str, str] | None:
        """What stands in the place of a thought that holds a secret: signed, it would not be taken back with a word changed."""
        thinking = block.get("thinking")
        if not isinstance(thinking, str) or (told := self._text(thinking, there)) == thinking:
            return None
        if not block.get("signature"):
            return {"type": "thinking", "thinking": told, **({"signature": ""} if "signature" in block else {})}
        return {"type": "text", "text": marker("a thought that held a secret")}

    def _count(self, name: str, number: int) -> None:
        if not self.counts[name]:
            log.warning(
                "what this service publishes held a secret (%s), which was taken out; /metrics counts them", name
            )
        self.counts[name] += number


def configured(settings: NatsSettings, environment: Mapping[str, str] | None = None) -> Door:
    """The door of a service: as its settings say, with what it knows itself to be secret. Raises ``InvalidSettings``."""
    environment = os.environ if environment is None else environment
    if unknown := [name for name in settings.redact_off if name not in NAMES]:
        raise InvalidSettings(
            f"BENCHWIRE_REDACT_OFF: there is no kind of secrets {unknown[0]!r}; it may be {', '.join(NAMES)}"
        )
    set_here = (getattr(settings, name) for name in settings.__struct_fields__)
    own = [str(one) for one in set_here if isinstance(one, Secret) and len(one) >= names.LEAST_CHARS]
    extra = [] if settings.redact_patterns is None else _of_file(settings.redact_patterns)
    return Door([*own, *names.secrets_in(environment)], extra=extra, off=settings.redact_off)


def _of_file(path: Path) -> list[Kind]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise BadKind(f"it has more than {MAX_FILE_BYTES} bytes")
        given = tomllib.loads(text.decode())
        patterns = msgspec.convert(given, dict[str, dict[str, str]], strict=True).get("patterns", {})
        return [kinds.of_operator(name, pattern) for name, pattern in patterns.items()]
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidSettings(f"BENCHWIRE_REDACT_PATTERNS: {path} cannot be used: {error}") from error


def _set_of(hints: Iterable[bytes]) -> Any:
    found = re2.Set.SearchSet(kinds.options())
    for hint in hints:
        found.Add(hint)
    found.Compile()
    return found


_kept: dict[type[msgspec.Struct], frozenset[str]] = {}


def _ids_of(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The fields of a record by which things are found again."""
    if kind not in _kept:
        entry = catalog.BY_TYPE.get(kind)  # type: ignore[arg-type]
        of_subject = entry.fields if entry is not None else ()
        ids = (name for name in kind.__struct_fields__ if name in ("id", "digest") or name.endswith("_id"))
        _kept[kind] = frozenset((*of_subject, *ids))
    return _kept[kind]


def _is_of_a_key(line: str, *, is_first: bool) -> bool:
    """Whether a line may be one of a private key: base64, a header of it, or its end."""
    line = line.strip()
    if "-----END" in line or line.startswith(_KEY_HEADERS):
        return True
    return _is_opaque(line) and (len(line) >= _WHOLE_LINE_CHARS if is_first else len(line) % 4 == 0)


def _is_opaque(value: str) -> bool:
    """Whether it is base64, and so can hold no text."""
    return value.isascii() and value.replace("+", "").replace("/", "").replace("=", "").isalnum()


__all__ = ["NAMES", "OWN", "Door", "configured"]
