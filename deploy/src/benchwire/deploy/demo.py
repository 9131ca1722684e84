"""`benchwire demo`: a whole lab for a minute, in which firmware is written, built, simulated, flashed on two boards and heard there."""

import asyncio
import contextlib
import io
import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from nats.errors import Error as NatsError
from rich.console import Console, RenderableType
from rich.live import Live

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy import demo_task, feed, interrupt, tail
from benchwire.deploy.alone import with_virtual_boards_only
from benchwire.deploy.client import Client
from benchwire.deploy.demo_checks import Check, checks
from benchwire.deploy.demo_task import Expected
from benchwire.deploy.feed import Feed, Heard
from benchwire.deploy.parts import has_model
from benchwire.deploy.settings import Settings
from benchwire.deploy.site import CannotStart, why_not
from benchwire.deploy.state import State, evolve
from benchwire.deploy.story import shown
from benchwire.deploy.supervisor import Change, Lab, running
from benchwire.deploy.view import picture, room_in, table_of
from benchwire.events.bus import NatsUnreachable, connected
from benchwire.events.event import Event, IllegalToken
from benchwire.events.live import FlashProgress, SessionDelta, TaskLog
from benchwire.events.settings import InvalidSettings, NatsSettings, load

DEADLINE_S = 120.0
# Samples travel on another way than facts, and the last of them may come after the task's end.
LATE_SAMPLES_S = 3.0
_LONGEST_REASON = 500
_PICTURE_WIDTH = 118
_FONT_ASPECT_RATIO = 0.602  # that of the usual monospace fonts, so that lines join in them
_LINE_WIDTH = 140  # in a pipe, where nothing says how much fits
_SUBJECTS = ["bench.>", "live.>"]

Option = typer.Option


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants of the demo; without ``data`` a temporary directory is taken."""

    settings: Settings
    data: Path | None
    scripted: bool
    keep: bool
    picture: Path | None


def demo(
    data: Annotated[
        Path | None, Option(help="Keep the lab's data in this directory; a temporary one is removed at the end.")
    ] = None,
    keep: Annotated[bool, Option("--keep", help="Keep the lab running after the task, until Ctrl-C.")] = False,
    picture: Annotated[Path | None, Option(metavar="FILE.svg", help="Write the last view to this file.")] = None,
) -> None:
    """Starts a lab with two virtual boards, has firmware made for both, and shows everything that happens."""
    try:
        settings = load(Settings)
    except InvalidSettings as error:
        sys.exit(_complain(str(error)))
    options = Options(settings=settings, data=data, scripted=not has_model(os.environ), keep=keep, picture=picture)
    sys.exit(interrupt.run(lambda: _demo(options)))


async def _demo(options: Options) -> int:
    width = None if sys.stdout.isatty() else _LINE_WIDTH
    out = Console(width=width, soft_wrap=width is not None, highlight=False, markup=False, emoji=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    logging.basicConfig(level=logging.CRITICAL)  # what goes wrong is told in the demo's own words
    out.print(_who_answers(scripted=options.scripted))
    end = asyncio.get_running_loop().time() + DEADLINE_S
    with _folder(options.data) as folder:
        try:
            environment = with_virtual_boards_only(os.environ)
            settings = _on_free_ports(options.settings, folder)
            async with running(settings, environment=environment, tell=_teller(out)) as lab:
                _say_where(out, lab, options.settings)
                code = await _story(options, lab, out, end)
                interrupt.still_wanted()
                if code != 0 and options.data is None:
                    out.print(f"what each part has to say about it is in {_kept_logs(folder)}")
                if options.keep:
                    out.print("the lab stays up; Ctrl-C ends it")
                    await asyncio.Event().wait()
        except CannotStart as error:
            return _complain(str(error), *error.last_words)
        except (IllegalToken, NatsUnreachable, NatsError, NoLab, Refused) as error:
            return _complain(str(error) or type(error).__name__)
    return code


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix="bw-"))  # short: sockets live in it
    try:
        yield made
    finally:
        shutil.rmtree(made)


def _kept_logs(folder: Path) -> Path:
    """A copy of the logs, which outlives the temporary directory that they are in."""
    kept = Path(tempfile.mkdtemp(prefix="benchwire-demo-logs-"))
    return shutil.copytree(folder / "logs", kept, dirs_exist_ok=True)


def _on_free_ports(settings: Settings, data: Path) -> Settings:
    """The usual ports where they are free, others where not."""

    def free(host: str, port: int) -> int:
        return 0 if why_not(host, port) else port

    return msgspec.structs.replace(
        settings,
        data=data,
        observability_port=free(settings.observability_host, settings.observability_port),
        documents_port=free(settings.documents_host, settings.documents_port),
        nats_port=free("127.0.0.1", settings.nats_port),
        nats_url="",
        virtual=[one.board for one in demo_task.SCRIPTED],
        cassette=None,
    )


def _who_answers(*, scripted: bool) -> str:
    if scripted:
        return "no model is configured (ANTHROPIC_API_KEY): the scripted model answers, with prepared firmwares and their mistakes"
    return "the configured model writes the firmwares: this may take longer, and go otherwise than the scripted demo"


def _say_where(out: Console, lab: Lab, wished: Settings) -> None:
    site = lab.site
    wanted = wished.observability_port, wished.documents_port
    if wanted != (site.observability_port, site.documents_port):
        out.print(f"the usual ports {wanted[0]} and {wanted[1]} are not both free; others are taken")
    out.print(f"the lab is up: {site.observability_url}  {site.documents_url}  {site.nats_url}")
    out.print(f"to follow it in a second terminal: {_tail_command(site.nats_url)}")


def _tail_command(nats_url: str) -> str:
    """What a person types; the lab at the usual address is found without it."""
    called = sys.argv[0] if Path(sys.argv[0]).name == "benchwire" else "benchwire"
    named = "" if nats_url == NatsSettings().nats_url else f" --nats-url {nats_url}"
    return f"{shlex.quote(called)} tail{named}"


def _teller(out: Console) -> Callable[[Change], None]:
    def tell(change: Change) -> None:
        if change.state in ("died", "unwell", "given_up"):
            out.print(f"{change.part}: {change.state} {change.detail}")

    return tell


class Show:
    """What was heard of one task so far, and the way it is shown: a picture on a terminal, lines elsewhere."""

    def __init__(self, out: Console, task_id: str) -> None:
        self.state = State(task_id=task_id)
        self.events: list[Event] = []
        self._out = out
        self._live = Live(console=out, get_renderable=self._picture, refresh_per_second=8)

    def _picture(self) -> RenderableType:
        return picture(self.state, room_in(self._out.height))

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Keeps the picture moving for the time of the context; the last one stays."""
        if not self._out.is_terminal:
            yield
            return
        with self._live:
            yield

    def take(self, heard: Heard) -> None:
        """One more message."""
        if heard.event is not None:
            self.events.append(heard.event)
            self.state = evolve(self.state, heard.event)
        if not self._out.is_terminal and _is_worth_a_line(heard):
            self._out.print(tail.line(heard))


def _is_worth_a_line(heard: Heard) -> bool:
    """Whether it says something that no other line says; of the progress of a flash, only the end of a stage does."""
    match heard.event:
        case FlashProgress(done_bytes=done_bytes, total_bytes=total_bytes):
            return 0 < total_bytes <= done_bytes
        case SessionDelta() | TaskLog():
            return False
        case _:
            return True


async def _story(options: Options, lab: Lab, out: Console, end: float) -> int:
    """The task from its request to the verdict: the exit code."""
    nodes = demo_task.expected(scripted=options.scripted)
    url, token = lab.site.observability_url, options.settings.token
    async with (
        connected(NatsSettings(nats_url=lab.site.nats_url), name="benchwire-demo") as bus,
        feed.listening(bus, _SUBJECTS, after=await feed.newest(bus)) as messages,
        Client(url, token) as client,
    ):
        show = Show(out, await client.start(demo_task.request(nodes)))
        out.print(f"the task: {url}/tasks/{show.state.task_id}")
        with show.shown():
            found = await _judged(messages, show, nodes, end)
    if options.picture is not None:
        _write_picture(options.picture, show.state)
        out.print(f"picture: {options.picture}")
    return _verdict(out, found, show.state.reason)


async def _judged(messages: Feed, show: Show, nodes: Sequence[Expected], end: float) -> list[Check]:
    """The checks, as soon as all passed, or nothing can pass any more."""
    interrupt.still_wanted()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(end) as limit:
            while not show.state.is_over:
                show.take(await messages.next())
            limit.reschedule(min(end, loop.time() + LATE_SAMPLES_S))
            while show.state.status == "finished" and not _all_passed(show, nodes):
                show.take(await messages.next())
    return checks(show.events, show.state.task_id, nodes)


def _all_passed(show: Show, nodes: Sequence[Expected]) -> bool:
    return all(one.passed for one in checks(show.events, show.state.task_id, nodes))


def _verdict(out: Console, found: Sequence[Check], reason: str) -> int:
    out.print(table_of(found))
    missing = [one.what for one in found if not one.passed]
    if missing and reason:
        return _complain(
            f"{len(missing)} of {len(found)} checks failed, because the task did: {shown(reason, _LONGEST_REASON)}"
        )
    if missing:
        return _complain(f"not all of it happened; missing: {', '.join(missing)}")
    out.print(f"all of it happened: {len(found)} of {len(found)} checks passed")
    return 0


def _write_picture(path: Path, state: State) -> None:
    console = Console(
        record=True, width=_PICTURE_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(picture(state))
    svg = console.export_svg(title="benchwire demo", font_aspect_ratio=_FONT_ASPECT_RATIO)
    # rich's own style fetches its font from a web site; a picture in a README should be whole without one.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def _complain(reason: str, *last_words: str) -> int:
    print(f"benchwire demo: {reason}", file=sys.stderr)  # noqa: T201 - a command's own output
    for line in last_words:
        print(f"    {line}", file=sys.stderr)  # noqa: T201
    return 1
