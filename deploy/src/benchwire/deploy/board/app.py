"""`benchwire board`: virtual boards of the lab that runs on this machine, added, listed, removed, and a hand on each."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from benchwire.boards.virtual.board import BoardError
from benchwire.deploy.board.bench import Bench, Listed, NoLabHere, NoSuchBoard, NotPluggedIn
from benchwire.deploy.board.kept import NameTaken
from benchwire.deploy.ending import told
from benchwire.deploy.hardware.asked import JsonOption, console, labels, listed
from benchwire.deploy.settings import Settings
from benchwire.deploy.story import shown
from benchwire.events.settings import load

Option = typer.Option
Name = Annotated[str, typer.Argument(metavar="NAME", help="The board's name.")]
Data = Annotated[Path | None, Option(help="The lab's data directory.  [env: BENCHWIRE_DATA]")]

_COLUMNS = {
    "name": "name", "profile": "profile", "state": "state", "added": "added", "labels": "labels", "tty": "tty", "probe": "probe",
    "drive": "drive",
}  # fmt: skip
_FAILURES = (NoLabHere, NoSuchBoard, NotPluggedIn, NameTaken, BoardError, LookupError)

app = typer.Typer(help="Virtual boards of the lab on this machine.", no_args_is_help=True)


@app.command()
def add(  # noqa: PLR0917 - typer calls it by name
    virtual: Annotated[str, Option("--virtual", metavar="PROFILE", help="What it is, e.g. esp32c3.")],
    name: Annotated[str | None, Option(help="What it is called; profile and number unless told.")] = None,
    label: Annotated[
        list[str] | None, Option("--label", "-l", metavar="K=V", help="What is said of it, e.g. rack=2; repeatable.")
    ] = None,
    current_uf2: Annotated[
        bool, Option("--current-uf2", help="Its UF2 drive shows what the flash holds; the RP2040's own does not.")
    ] = False,
    json: JsonOption = False,
    data: Data = None,
) -> None:
    """Adds a virtual board to the lab that runs here; it is there again at the next start, until it is removed."""
    with _bench("add", data) as bench:
        board = bench.add(virtual, name, labels=labels(label), current_uf2=current_uf2)
        if json:
            listed([board], _COLUMNS, json=True)
        else:
            _say(f"{board.name} is plugged in: {board.reached}")


@app.command("list")
def list_(json: JsonOption = False, data: Data = None) -> None:
    """Lists the virtual boards of the lab that runs here."""
    with _bench("list", data) as bench:
        found: list[Listed] = bench.boards()
        listed(found, _COLUMNS, json=json)


@app.command()
def remove(name: Name, data: Data = None) -> None:
    """Takes a board that was added away for good, with what its flash holds."""
    with _bench("remove", data) as bench:
        bench.remove(name)
        _say(f"{name} is gone, with what its flash held")


@app.command()
def reset(
    name: Name,
    download: Annotated[bool, Option("--download", help="Into the chip's boot loader.")] = False,
    data: Data = None,
) -> None:
    """Pulls a board's reset line."""
    with _bench("reset", data) as bench:
        bench.tell(name, do="reset", mode="download" if download else "run")


@app.command()
def power(
    name: Name, state: Annotated[Literal["on", "off"], typer.Argument(help="on or off")], data: Data = None
) -> None:
    """Switches a board's supply."""
    with _bench("power", data) as bench:
        bench.tell(name, do="power", on=state == "on")


@app.command()
def strap(
    name: Name, mode: Annotated[Literal["run", "download"], typer.Argument(help="run or download")], data: Data = None
) -> None:
    """Holds a board's strapping pin (or its boot button) for the resets to come, or lets it go."""
    with _bench("strap", data) as bench:
        bench.tell(name, do="strap", mode=mode)


@app.command()
def fault(
    name: Name,
    kind: Annotated[str, typer.Argument(help="E.g. unplug, drop, slow; a board names those it knows.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="E.g. after_bytes=4096.")
    ] = None,
    data: Data = None,
) -> None:
    """Makes something go wrong with a board, for tests of what copes with that."""
    with _bench("fault", data) as bench:
        bench.tell(name, do="fault", kind=kind, **arguments_of(arguments or []))


def arguments_of(pairs: list[str]) -> dict[str, Any]:
    """``address=0x1000`` and the like: numbers, true and false, and text. Raises ``ValueError``."""
    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key.isidentifier() and equals) or key in {"do", "kind"}:
            raise ValueError(f"{pair!r} is no argument of a fault; write KEY=VALUE")
        found[key] = _value(text)
    return found


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (lambda: int(text, 0), lambda: float(text)):
        try:
            return kind()
        except ValueError:
            continue
    return text


@contextmanager
def _bench(command: str, data: Path | None) -> Iterator[Bench]:
    with told(f"board {command}", *_FAILURES):
        yield Bench.here(data or load(Settings).data)


def _say(sentence: str) -> None:
    console().print(shown(sentence, 400))
    sys.stdout.flush()
