"""Settings from the environment: one frozen record per service, checked once, at the start."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

PREFIX = "BENCHWIRE_"


class Secret(str):
    """A string that does not show itself in logs and tracebacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'" if self else "''"


class NatsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a service reaches NATS. ``nats_credentials`` is a credentials file; ``replicas`` is for streams made by this service."""

    nats_url: str = "nats://127.0.0.1:4222"
    nats_credentials: Path | None = None
    nats_replicas: int = 1
    nats_connect_timeout_s: float = 30.0


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
