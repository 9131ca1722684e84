"""Settings from the environment: one frozen record per service, checked once, at the start."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

PREFIX = "BENCHWIRE_"


class Secret(str):
    """A string that does not show itself in logs and tracebacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'" if self else "''"


class NatsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a service reaches NATS, and who it is there. ``replicas`` is for streams made by this service.

    ``nats_nkey`` is a file with the seed of its user's key, ``nats_credentials`` a credentials file. With ``nats_ca``, the authorities that it
    believes, it speaks TLS or not at all; ``nats_certificate`` and ``nats_key`` are what it shows itself. Replies come on subjects below
    ``nats_inbox``, where nobody else may listen.

    For streams made by this service are the limits, too, of which 0 is none: how long the log keeps its events, and samples (``live``) are
    kept, and how large each may get. A projection is copied for whoever starts without one (see ``snapshots``) when the log grew by
    ``snapshot_events`` since the last copy (0: never), and at most once in ``snapshot_every_s``.

    Secrets are taken out of what is published (see ``redaction``): kinds that are named in ``redact_off`` are not, and those of the TOML file
    ``redact_patterns`` are, too.
    """

    nats_url: str = "nats://127.0.0.1:4222"
    nats_credentials: Path | None = None
    nats_nkey: Path | None = None
    nats_ca: Path | None = None
    nats_certificate: Path | None = None
    nats_key: Path | None = None
    nats_inbox: str = "_INBOX"
    nats_replicas: int = 1
    nats_connect_timeout_s: float = 30.0
    log_max_age_days: Annotated[float, Meta(ge=0)] = 0.0
    log_max_bytes: Annotated[int, Meta(ge=0)] = 0
    live_max_age_s: Annotated[float, Meta(ge=0)] = 3600.0
    live_max_bytes: Annotated[int, Meta(ge=0)] = 256 << 20
    snapshot_events: Annotated[int, Meta(ge=0)] = 20_000
    snapshot_every_s: Annotated[float, Meta(ge=1)] = 900.0
    redact_off: tuple[str, ...] = ()
    redact_patterns: Path | None = None


class InvalidSettings(ValueError):
    """A variable of the environment that cannot be used; the sentence names it."""


Settings = TypeVar("Settings", bound=msgspec.Struct)


def load(kind: type[Settings], environment: Mapping[str, str] | None = None) -> Settings:
    """A record of ``kind`` from ``BENCHWIRE_<FIELD>`` variables; an absent one takes the field's default.

    Lists are comma separated. ``NATS_URL`` and ``NATS_CREDS`` are read too, as other NATS tools do. Raises ``InvalidSettings``.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        text = environment.get(PREFIX + field.name.upper()) or _of_nats(field.name, environment)
        if text:
            given[field.name] = text.split(",") if _is_list(field.type) else text
    try:
        return msgspec.convert(given, kind, strict=False, dec_hook=_other)
    except msgspec.ValidationError as error:
        raise InvalidSettings(_naming_the_variable(error)) from error


def _of_nats(name: str, environment: Mapping[str, str]) -> str | None:
    return environment.get({"nats_url": "NATS_URL", "nats_credentials": "NATS_CREDS"}.get(name, ""))


def _is_list(kind: object) -> bool:
    return getattr(kind, "__origin__", None) in (list, tuple)


def _other(kind: Any, value: object) -> object:
    if kind in (Path, Secret):
        return kind(str(value))
    raise NotImplementedError(f"no setting can be of type {kind}")


def _naming_the_variable(error: msgspec.ValidationError) -> str:
    sentence, _, place = str(error).partition(" - at `$.")
    return f"{PREFIX}{place.rstrip('`').upper()}: {sentence}" if place else sentence
