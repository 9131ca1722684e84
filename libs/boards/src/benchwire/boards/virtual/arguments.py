"""A fault and its arguments, as they come over the control socket. What makes no sense is a `BoardError`."""

from collections.abc import Collection
from typing import Any

from benchwire.boards.virtual.board import BoardError


def unknown(kind: str, known: Collection[str]) -> BoardError:
    """What to raise for a kind of fault that a board doesn't have."""
    return BoardError(f"unknown fault {kind!r}; this board knows {', '.join(known)}")


def integer(arguments: dict[str, Any], key: str) -> int:
    """A whole number."""
    value = arguments.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BoardError(f"this fault needs a whole number {key!r}, got {value!r}")
    return value


def count(arguments: dict[str, Any], key: str) -> int:
    """A whole number from 0 on."""
    number = integer(arguments, key)
    if number < 0:
        raise BoardError(f"{key} can't be negative")
    return number


def bit(arguments: dict[str, Any]) -> int:
    """ "bit": which one of a byte, the lowest if nothing is said."""
    number = integer({"bit": 0} | arguments, "bit")
    if not 0 <= number < 8:
        raise BoardError(f"a byte has the bits 0 to 7, and not {number}")
    return number


def chip(arguments: dict[str, Any], known: Collection[str]) -> str:
    """ "chip": the name of one of the `known` chips."""
    name = arguments.get("chip")
    if not isinstance(name, str) or name not in known:
        raise BoardError(f'this fault needs a "chip", one of {", ".join(known)}; got {name!r}')
    return name
