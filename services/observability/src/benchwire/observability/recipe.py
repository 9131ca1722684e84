"""What a blueprint may hold. Secrets may not be in it: facts are kept for ever, and shown to everybody who may read.

Where a secret is needed, ``${NAME}`` stands for the variable of that name in the environment of the agent runner.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Meta

from benchwire.events.redaction.names import names_a_secret
from benchwire.events.session import Budget
from benchwire.observability.errors import Unusable

NAME = re.compile(r"[a-z0-9-]{1,64}")
MAX_SERVERS = 32
MAX_TOOLS = 256
MAX_TOKENS = 1_000_000_000
MAX_USD = 100_000.0
MAX_WALL_S = 30 * 86_400.0
MAX_ASK_S = 7 * 86_400.0

Tag = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^,\s]([^,]*[^,\s])?$")]
Tags = Annotated[list[Tag], Meta(max_length=64)]
Skills = Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=64)]
Description = Annotated[str, Meta(max_length=10_000)]
SystemPrompt = Annotated[str, Meta(max_length=200_000)]
Servers = dict[str, dict[str, Any]]
Model = Annotated[str, Meta(min_length=1, max_length=256)]

_Text = Annotated[str, Meta(max_length=4096)]
_Word = Annotated[str, Meta(min_length=1, max_length=4096)]
_Table = Annotated[dict[_Word, _Text], Meta(max_length=64)]


class Stdio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An MCP server that is a process."""

    type: Literal["stdio"] = "stdio"
    command: _Word
    args: Annotated[list[_Text], Meta(max_length=256)] = []
    env: _Table = {}


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An MCP server that is reached over HTTP."""

    type: Literal["http"]
    url: _Word
    headers: _Table = {}


_TOOL_NAME = re.compile(r"[A-Za-z0-9_*-]{1,128}")  # what the Messages API takes for one, and * for any part of it
_SERVER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_SCHEME = re.compile(r"^(bearer|basic|token|apikey)\b", re.IGNORECASE)
_KNOWN_KEYS = re.compile(
    r"\bsk-[A-Za-z0-9_-]{16,}|\bgh[oprsu]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abeprs]-[\w-]{10,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def checked_name(name: str) -> str:
    """``name``, when an agent can have it. Raises ``Unusable``."""
    if not NAME.fullmatch(name):
        raise Unusable("name: it must be 1 to 64 lower-case letters, digits and hyphens")
    return name


def checked_text(text: str | None, where: str) -> None:
    """Raises ``Unusable`` when ``text`` holds what is known to be a key."""
    if text is not None and _KNOWN_KEYS.search(text):
        raise Unusable(f"{where}: it holds what looks like a key or token; events are kept for ever, so take it out")


def checked_tools(names: list[str], where: str) -> list[str]:
    """``names``, each once, when tools can be called so. Raises ``Unusable``."""
    for name in names:
        if not _TOOL_NAME.fullmatch(name):
            raise Unusable(
                f"{where}: {name[:60]!r} is no name of a tool; it has 1 to 128 letters, digits, _ and -, and * for any of them"
            )
        checked_text(name, where)
    once = list(dict.fromkeys(names))
    if len(once) > MAX_TOOLS:
        raise Unusable(f"{where}: {len(once)} names are more than the {MAX_TOOLS} that can be given")
    return once


def checked_budget(budget: Budget | None, where: str = "budget") -> Budget | None:
    """``budget``, when something can be done with it; one without any limit is none. Raises ``Unusable``."""
    if budget is None or budget == Budget():
        return None
    for name, most in (("max_tokens", MAX_TOKENS), ("max_usd", MAX_USD), ("max_wall_s", MAX_WALL_S)):
        given = getattr(budget, name)
        if given is not None and not 0 < given <= most:
            raise Unusable(f"{where}.{name}: it must be above 0, and at most {most:g}; leave it out for no limit")
    return budget


def checked_patience(ask_expires_s: float) -> float:
    """For how many seconds a person is waited for. Raises ``Unusable``."""
    if not (math.isfinite(ask_expires_s) and 1 <= ask_expires_s <= MAX_ASK_S):
        raise Unusable(f"ask_expires_s: it must be between 1 and {MAX_ASK_S:g} seconds")
    return ask_expires_s


def checked_servers(servers: Servers | None) -> None:
    """Raises ``Unusable``, naming the field, when one of the MCP servers cannot be meant, or holds a secret."""
    if servers is None:
        return
    if len(servers) > MAX_SERVERS:
        raise Unusable(f"mcp_servers: {len(servers)} are more than the {MAX_SERVERS} that one agent takes")
    for name, given in servers.items():
        if not _SERVER_NAME.fullmatch(name):
            raise Unusable("mcp_servers: a server's name is 1 to 64 letters, digits, hyphens and underscores")
        where = f"mcp_servers.{name}"
        match _server(given, where):
            case Stdio() as process:
                _check_process(process, where)
            case Http() as endpoint:
                _check_endpoint(endpoint, where)


def _server(given: dict[str, Any], where: str) -> Stdio | Http:
    kind = given.get("type", "stdio" if "command" in given else None)
    if kind not in ("stdio", "http"):
        raise Unusable(f'{where}: it must be like {{"command", "args", "env"}} or {{"type": "http", "url", "headers"}}')
    try:
        return msgspec.convert(given, Http) if kind == "http" else msgspec.convert(given, Stdio)
    except msgspec.ValidationError as error:
        sentence, _, place = str(error).partition(" - at `$")
        raise Unusable(f"{where}{place.rstrip('`')}: {sentence}") from None


def _check_process(process: Stdio, where: str) -> None:
    _refuse_known_keys([process.command], f"{where}.command")
    _refuse_known_keys(process.args, f"{where}.args")
    for before, after in zip(["", *process.args], process.args, strict=False):
        option, equals, value = after.partition("=")
        if option.startswith("-") and equals:
            _refuse_literal(option, value, f"{where}.args: {option[:40]}")
        elif before.startswith("-") and "=" not in before and not after.startswith("-"):
            _refuse_literal(before, after, f"{where}.args: {before[:40]}")
    _check_table(process.env, f"{where}.env", _VARIABLE_NAME)


def _check_endpoint(endpoint: Http, where: str) -> None:
    try:
        parts = urlsplit(_REFERENCE.sub("x", endpoint.url))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(one.isspace() or not one.isprintable() for one in endpoint.url):
        raise Unusable(f"{where}.url: it must be an address like https://example.com/mcp")
    _refuse_known_keys([endpoint.url], f"{where}.url")
    if "@" in urlsplit(endpoint.url).netloc:
        raise Unusable(f"{where}.url: a user or password has no place in it; send it as a header with ${{NAME}}")
    for key, value in parse_qsl(urlsplit(endpoint.url).query, keep_blank_values=True):
        _refuse_literal(key, value, f"{where}.url: {key[:40]}")
    _check_table(endpoint.headers, f"{where}.headers", _HEADER_NAME)


def _check_table(table: Mapping[str, str], where: str, name: re.Pattern[str]) -> None:
    for key, value in table.items():
        if not name.fullmatch(key):
            raise Unusable(f"{where}: {key[:40]!r} cannot be a name there")
        if any(one in value for one in "\r\n\0"):
            raise Unusable(f"{where}.{key[:40]}: it must be one line")
        _refuse_known_keys([value], f"{where}.{key[:40]}")
        _refuse_literal(key, value, f"{where}.{key[:40]}")


def _refuse_known_keys(texts: Iterable[str], where: str) -> None:
    if any(_KNOWN_KEYS.search(text) for text in texts):
        raise Unusable(_no_literals(where))


def _refuse_literal(key: str, value: str, where: str) -> None:
    if names_a_secret(key) and not is_reference(value):
        raise Unusable(_no_literals(where))


def _no_literals(where: str) -> str:
    return f"{where}: a secret is not kept here; write ${{NAME}}, and set the variable NAME in the environment of the agent runner"


def is_reference(value: str) -> bool:
    """Whether ``value`` holds nothing but ``${NAME}``, with the word for a scheme in front if there is one."""
    rest = _SCHEME.sub("", _REFERENCE.sub("", value).strip())
    return not any(one.isalnum() for one in rest)
