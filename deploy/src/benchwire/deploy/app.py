"""The `benchwire` command. A command is imported when it is called: all of them together are half a second, before anything is done."""

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class _Command(NamedTuple):
    """Where a command is, and what the list says of it: the first sentence of its help."""

    place: str
    told: str


COMMANDS = {
    "up": _Command("up:up", "Starts the whole lab on this machine and keeps it running until Ctrl-C."),
    "demo": _Command(
        "demo:demo", "Starts a lab with two virtual boards, has firmware made for both, and shows everything that happens."
    ),
    "run": _Command(
        "run:run", "Builds sources, simulates them, flashes a board with them and waits for what it prints; needs a running lab."
    ),
    "task": _Command("task.app:app", "Tasks: have firmware or code made, watch, guide and cancel that."),
    "devices": _Command("hardware.devices:devices", "Lists the boards that are plugged in, on all hosts."),
    "flash": _Command("hardware.flash:flash", "Flashes a board and waits until the image is there, verified."),
    "monitor": _Command(
        "hardware.monitor:monitor",
        "Shows what a board prints until Ctrl-C; the flash agent keeps the port, so several can look at one board.",
    ),
    "tail": _Command("tail:tail", "Prints what happens in the lab as it happens; Ctrl-C ends it."),
    "doctor": _Command(
        "doctor:doctor",
        "Says what this machine has, what it lacks, and how to get it; exits with 1 when the lab cannot do its main job.",
    ),
    "export": _Command(
        "transfer:export", "Writes a session with all of its events, one line of JSON each; needs a running lab."
    ),
    "import": _Command("transfer:import_", "Takes sessions from a file into a lab that runs."),
    "backup": _Command(
        "backup.command:backup",
        "Writes the whole lab to one file, while it goes on working: the log, the artifacts and the places of the queues.",
    ),
    "restore": _Command(
        "backup.command:restore",
        "Brings a backup back into an empty lab. NATS has to run, or --data say where it will; no service may.",
    ),
    "board": _Command("board.app:app", "Virtual boards of the lab on this machine."),
    "lease": _Command("hardware.lease:app", "Leases: a board for oneself, for a while."),
    "jobs": _Command("hardware.jobs:app", "Flash jobs: list, show, pause, resume, cancel, throttle; how they went."),
    "doc": _Command("doc.app:app", "Documents: push, pull, search."),
    "session": _Command("session.app:app", "Sessions: start agents, read along, say things, approve, stop, record, replay; or run a command as one."),
    "deploy": _Command("hosts.app:app", "A lab of many hosts: keys, certificates, users of NATS, environments; its streams; what NATS refuses."),
    "mcp": _Command("mcp.command:mcp", "Offers the lab to other agents as an MCP server: tasks, sessions, boards, flashing, documents."),
    "token": _Command("token:token", "Tokens of those who may call the lab's services."),
}  # fmt: skip


def loaded(name: str) -> TyperCommand | TyperGroup:
    """The command of that name, imported."""
    module, _, attribute = COMMANDS[name].place.partition(":")
    found = getattr(import_module(f"benchwire.deploy.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    found.pretty_exceptions_enable = False
    command = get_command(found)
    assert isinstance(command, TyperCommand | TyperGroup)
    command.name = name
    return command


class _Lazily(TyperGroup):
    """Lists what the table says, and imports what is called."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {name: TyperCommand(name, help=one.told) for name, one in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if command is None or name is None else loaded(name), rest


app = typer.Typer(cls=_Lazily, add_completion=False, pretty_exceptions_enable=False)


@app.callback(no_args_is_help=True)
def benchwire() -> None:
    """A hardware lab on one machine, or many."""
