"""How a blueprint says that a server is reached: a program, or an address."""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from benchwire.agent.errors import GivenUp

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What the programs that make the fence (sh, setpriv, prlimit, bwrap) would take as an order, before the server's program is inside of it.
_NOT_FOR_THE_FENCE = re.compile(
    r"(LD|GLIBC|GCONV|MALLOC|BASH|BENCHWIRE)_.*|PATH|ENV|IFS|PS4|CDPATH|SHELLOPTS|BASHOPTS|LOCPATH|NLSPATH|HOSTALIASES|GETCONF_DIR"
    r"|LOCALDOMAIN|NIS_PATH|RESOLV_HOST_CONF|RES_OPTIONS|TMPDIR|TZDIR"
)


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is a process, and speaks over its standard input and output."""

    command: str
    type: Literal["stdio"] = "stdio"
    args: list[str] = []
    env: dict[str, str] = {}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is reached over HTTP (streamable HTTP)."""

    url: str
    type: Literal["http"] = "http"
    headers: dict[str, str] = {}


def parsed(name: str, given: Any) -> Program | Address:
    """How the server ``name`` is reached. Raises ``GivenUp``."""
    if not _NAME.fullmatch(name):
        raise GivenUp(
            f"{name[:80]!r} is no name for an MCP server: 1 to 64 letters, digits, hyphens and underscores are", "agent"
        )
    try:
        recipe: Program | Address = (
            msgspec.convert(given, Program) if _is_program(given) else msgspec.convert(given, Address)
        )
    except msgspec.ValidationError as error:
        raise GivenUp(f"the MCP server {name!r} cannot be reached as the agent says: {error}", "agent") from error
    problem = _program_problem(recipe) if isinstance(recipe, Program) else _address_problem(recipe)
    if problem is not None:
        raise GivenUp(f"the MCP server {name!r} cannot be reached: {problem}", "agent")
    return recipe


def _is_program(given: Any) -> bool:
    return isinstance(given, dict) and given.get("type", "stdio" if "command" in given else "http") == "stdio"


def _program_problem(program: Program) -> str | None:
    if any("\0" in one for one in (program.command, *program.args, *program.env.values())):
        return "its command holds a NUL character"
    for name in program.env:
        if not _VARIABLE.fullmatch(name) or _NOT_FOR_THE_FENCE.fullmatch(name):
            return f"its environment may not set {name[:80]!r}"
    return None


def _address_problem(address: Address) -> str | None:
    try:
        parts = urlsplit(address.url)
    except ValueError as error:
        return f"its url cannot be read: {error}"
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return "its url has to begin with http:// or https:// and a host"
    return None
