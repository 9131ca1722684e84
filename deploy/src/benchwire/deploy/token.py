"""`benchwire token`: who may call the lab's services, and what each token allows. The services see a change within a second or two."""

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchwire.deploy.settings import Settings
from benchwire.events.settings import InvalidSettings, load
from benchwire.web import tokens
from benchwire.web.tokens import BadTokens, NameTaken, NoSuchToken, Scope, Token

_LASTING = re.compile(r"(\d{1,4})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_REFUSED = (BadTokens, NameTaken, NoSuchToken, InvalidSettings, ValueError, OSError)

Option = typer.Option
Data = Annotated[Path | None, Option(help="The lab's data directory.  [env: BENCHWIRE_DATA, BENCHWIRE_TOKENS_FILE]")]
Name = Annotated[str, typer.Argument(help="What the token is called in logs and lists.")]

token = typer.Typer(help="Tokens of those who may call the lab's services.", no_args_is_help=True)


@token.command()
def create(
    name: Name,
    scope: Annotated[list[Scope], Option(help="What it allows; repeatable. write and control include read.")],
    expires: Annotated[str, Option(help="How long it is good: 12h, 30d, 8w; for good unless told.")] = "",
    data: Data = None,
) -> None:
    """Makes a token and prints it, this one time: only its hash is kept."""
    with _in_words("create"):
        now = datetime.now(UTC)
        file = _file(data)
        secret = tokens.create(file, name, scope, now=now, expires_at=_end(expires, now))
    print(secret)  # noqa: T201 - a command's own output
    print(f"kept hashed in {file}; it will not be shown again", file=sys.stderr)  # noqa: T201


@token.command("list")
def list_(
    data: Data = None,
    as_json: Annotated[bool, Option("--json", help="Print JSON.")] = False,
) -> None:
    """Shows which tokens there are; never the tokens themselves."""
    with _in_words("list"):
        found = tokens.read(_file(data))
    if as_json:
        listed = [
            {name: value for name, value in msgspec.to_builtins(one).items() if name != "sha256"} for one in found
        ]
        print(msgspec.json.format(msgspec.json.encode({"tokens": listed})).decode())  # noqa: T201
    else:
        Console(highlight=False, markup=False, emoji=False).print(table_of(found, datetime.now(UTC)))


@token.command()
def revoke(name: Name, data: Data = None) -> None:
    """Ends a token; what it has opened is closed."""
    with _in_words("revoke"):
        tokens.revoke(_file(data), name)


def table_of(found: list[Token], now: datetime) -> Table:
    """The tokens, one row each."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in ("name", "scopes", "created", "expires"):
        table.add_column(column, no_wrap=True)
    for one in found:
        end = "never" if one.expires_at is None else f"{one.expires_at:%Y-%m-%d %H:%M} UTC"
        ending = Text(end) if one.is_good(now) else Text(f"{end} (expired)", "red")
        table.add_row(Text(one.name), Text(" ".join(one.scopes)), Text(f"{one.created_at:%Y-%m-%d %H:%M} UTC"), ending)
    return table


def _file(data: Path | None) -> Path:
    settings = load(Settings)
    if data is not None:
        return data / tokens.FILE_NAME
    return settings.tokens_file or settings.data / tokens.FILE_NAME


def _end(expires: str, now: datetime) -> datetime | None:
    if not expires:
        return None
    found = _LASTING.fullmatch(expires)
    if not found or int(found[1]) == 0:
        raise ValueError(f"--expires: {expires!r} is no time; write 12h, 30d or 8w")
    return now + timedelta(**{_UNITS[found[2]]: int(found[1])})


@contextmanager
def _in_words(command: str) -> Generator[None, None, None]:
    try:
        yield
    except _REFUSED as error:
        print(f"benchwire token {command}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
