"""One instance of every event type, with every field set: for golden files, codec tests and folds that must be total."""

from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from benchwire.events import catalog
from benchwire.events.event import Event

AT = datetime(2026, 1, 17, 12, 0, 0, tzinfo=UTC)


def sample(kind: type[Event], **fields: Any) -> Event:
    """An instance of ``kind``; ``fields`` replace what would be made up."""
    made = {field.name: _value(field.name, field.type) for field in msgspec.structs.fields(kind)}
    return kind(**{**made, **fields})


def samples() -> list[Event]:
    """One of each type in the catalog, in its order."""
    return [sample(entry.event) for entry in catalog.CATALOG]


def _value(name: str, kind: Any) -> Any:  # noqa: PLR0911 - one line per kind of field
    origin = get_origin(kind)
    if origin is Annotated:
        return _value(name, get_args(kind)[0])
    if origin in (Union, UnionType):
        return _value(name, next(one for one in get_args(kind) if one is not NoneType))
    if origin is Literal:
        return get_args(kind)[0]
    if origin is list:
        return [_value(name, get_args(kind)[0])]
    if origin is dict:
        return {"key": _value(name, get_args(kind)[1])}
    if kind is datetime:
        return AT
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{field.name: _value(field.name, field.type) for field in msgspec.structs.fields(kind)})
    return {str: f"{name}-1", int: 7, float: 1.5, bool: True, bytes: b"bytes\x00\xff"}.get(kind, "any")
