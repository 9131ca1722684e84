"""What a person says to sessions: start, say, approve, deny."""

import asyncio
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from benchwire.client.errors import Refused
from benchwire.deploy.calling import above_zero, called, print_json, text_of
from benchwire.deploy.client import Client, UrlOption
from benchwire.deploy.ending import end, say
from benchwire.deploy.hardware.asked import JsonOption, console, holder
from benchwire.deploy.session.showing import Shower, shown_until_over, stopped
from benchwire.deploy.session.watch import SESSION_VARIABLE
from benchwire.deploy.story import shown
from benchwire.events.event import token

Option = typer.Option
SessionId = Annotated[str, typer.Argument(metavar="ID", help="The session's id.")]
ToolUseId = Annotated[
    str | None, typer.Argument(metavar="[TOOL_USE_ID]", help="The call; the only one that waits unless told.")
]
FollowOption = Annotated[bool, Option("--follow", "-f", help="Show what happens until the session has ended.")]
TokensOption = Annotated[int | None, Option("--budget-tokens", min=1, metavar="N", help="End it after so many tokens.")]
UsdOption = Annotated[float | None, Option("--budget-usd", metavar="USD", help="End it after so many US dollars.")]
WallOption = Annotated[float | None, Option("--budget-wall", metavar="S", help="End it after so many seconds.")]
ModelOption = Annotated[str | None, Option(help="The model; that of the agent, or of the runner, unless told.")]
TurnsOption = Annotated[int | None, Option("--max-turns", min=1, help="End it after so many answers of the model.")]


def start(  # noqa: PLR0917 - typer calls it by name
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to do; - reads it from stdin.")] = "-",
    agent: Annotated[str | None, Option(help="Who works: the name of an agent.")] = None,
    name: Annotated[str | None, Option(help="What people see it called; its id unless told.")] = None,
    session_id: Annotated[str | None, Option("--id", help="Its id; a new one unless told.")] = None,
    model: ModelOption = None,
    max_turns: TurnsOption = None,
    budget_tokens: TokensOption = None,
    budget_usd: UsdOption = None,
    budget_wall: WallOption = None,
    ask_before: Annotated[
        list[str] | None,
        Option(metavar="TOOL", help="Wait for a person's yes before each call of this tool; repeatable."),
    ] = None,
    parent: Annotated[
        str | None,
        Option(envvar=SESSION_VARIABLE, help="The session that it works for; stopping that one stops this one."),
    ] = None,
    follow: FollowOption = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Starts an agent on a prompt, and prints the session's id; with --follow, Ctrl-C stops it."""

    words = text_of("session start", prompt)

    async def asked(client: Client) -> int:
        body = {
            **_session(session_id, name), "prompt": words, "project_dir": str(Path.cwd()),
            "agent_name": agent, "model": model, "max_turns": max_turns, "ask_before": ask_before or [],
            "parent_session_id": parent, "budget": budget_of(budget_tokens, budget_usd, budget_wall),
        }  # fmt: skip
        made = await client.start_session({key: value for key, value in body.items() if value is not None})
        if follow:
            return await _followed(client, made["session_id"], json=json)
        print_json(made) if json else print(made["session_id"])  # noqa: T201
        return 0

    called("session start", url, asked)


def say_to(  # noqa: PLR0917 - typer calls it by name
    session_id: SessionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads it from stdin.")],
    model: ModelOption = None,
    max_turns: TurnsOption = None,
    budget_tokens: TokensOption = None,
    budget_usd: UsdOption = None,
    budget_wall: WallOption = None,
    follow: Annotated[
        bool, Option("--follow", "-f", help="Show what happens until the session has ended; Ctrl-C stops only that.")
    ] = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Says something to a session: one that runs hears it at its next turn, one that has ended goes on with it."""

    words = text_of("session say", text)

    async def asked(client: Client) -> int:
        body = {
            "text": words, "message_id": f"msg-{uuid.uuid4().hex[:16]}", "by": holder(),
            "model": model, "max_turns": max_turns, "budget": budget_of(budget_tokens, budget_usd, budget_wall),
        }  # fmt: skip
        last = await client.last_event(session_id) if follow else 0
        told = await client.message(session_id, {key: value for key, value in body.items() if value is not None})
        if json and not follow:
            print_json(told)
        elif not json:
            say(_HEARD.get(told["status"], shown(told["status"])).format(shown(session_id)))
        if not follow:
            return 0
        return await watched(client, session_id, Shower(json=json), after=last)

    called("session say", url, asked)


def approve(
    session_id: SessionId, tool_use_id: ToolUseId = None, json: JsonOption = False, url: UrlOption = None
) -> None:
    """Lets a call run that waits for a person's word."""
    _decide("approve", session_id, tool_use_id, {"approve": True}, json=json, url=url)


def deny(
    session_id: SessionId,
    tool_use_id: ToolUseId = None,
    reason: Annotated[str | None, Option(help="Why not; the model is told.")] = None,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Does not let a call run that waits for a person's word."""
    asked = {"approve": False, **({"reason": reason} if reason else {})}
    _decide("deny", session_id, tool_use_id, asked, json=json, url=url)


def approvals(
    session_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The session; all of them unless told.")
    ] = None,
    every: Annotated[bool, Option("--all", help="Also those that are decided.")] = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Lists calls of tools that wait for a person's word."""

    async def asked(client: Client) -> int:
        found = await client.approvals(session_id, state=None if every else "waiting")
        for one in found:
            print_json(one) if json else console().print(_line(one))
        if not found and not json:
            say("nothing waits for a person")
        return 0

    called("session approvals", url, asked)


def budget_of(tokens: int | None, usd: float | None, wall_s: float | None) -> dict[str, Any] | None:
    """The budget of a request; None when nothing is limited. Raises ``ValueError``."""
    given = {
        "max_tokens": tokens,
        "max_usd": above_zero(usd, "--budget-usd"),
        "max_wall_s": above_zero(wall_s, "--budget-wall"),
    }
    return {name: value for name, value in given.items() if value is not None} or None


async def watched(client: Client, session_id: str, shower: Shower, *, after: int = 0) -> int:
    """Shows a session that does not depend on who looks: Ctrl-C ends the looking."""
    try:
        return await shown_until_over(client, session_id, shower, after=after)
    except asyncio.CancelledError:
        say(f"{session_id} goes on without being looked at; `benchwire session stop {session_id}` ends it")
        raise


async def _followed(client: Client, session_id: str, *, json: bool) -> int:
    """Shows a session that was started here; without anybody to wait for it, it is not wanted."""
    shower = Shower(json=json)
    if not json:
        say(f"{session_id} at {client.url}")
    try:
        return await shown_until_over(client, session_id, shower)
    except asyncio.CancelledError:
        await stopped(client, session_id)
        raise


def _session(session_id: str | None, name: str | None) -> dict[str, str]:
    own = token(session_id or f"session-{uuid.uuid4().hex[:12]}", "--id")
    return {"session_id": own, "session_name": name or own}


def _decide(
    word: str, session_id: str, tool_use_id: str | None, body: dict[str, Any], *, json: bool, url: str | None
) -> None:
    async def asked(client: Client) -> int:
        use = tool_use_id or await _only_one(client, session_id, word)
        decided = await client.decide(session_id, use, {**body, "by": holder()})
        print_json(decided) if json else say(f"{shown(decided['tool_name'], 40)} is {shown(decided['state'], 20)}")
        return 0

    called(f"session {word}", url, asked)


async def _only_one(client: Client, session_id: str, word: str) -> str:
    """Which call is meant when only one waits. Raises ``Refused``, and ends the program when several do."""
    waiting = await client.approvals(session_id, state="waiting")
    if not waiting:
        raise Refused(404, f"no call of {session_id} waits for a person")
    if len(waiting) > 1:
        for one in waiting:
            console().print(_line(one))
        end(f"session {word}", "several calls wait; say which", 2)
    return str(waiting[0]["tool_use_id"])


def _line(one: dict[str, Any]) -> str:
    arguments = " ".join(f"{name}={value}" for name, value in one["tool_input"].items())
    by = f" by {one['by']}" if one.get("by") else ""
    why = f": {one['reason']}" if one.get("reason") else ""
    state = f"waits until {one['expires_at']}" if one["state"] == "waiting" else f"{one['state']}{by}{why}"
    return f"{shown(one['session_id'], 60)} {shown(one['tool_use_id'], 60)}  {shown(one['tool_name'], 40)} {shown(arguments)}  {shown(state)}"


_HEARD = {"queued": "{} hears it at its next turn", "resumed": "{} had ended, and goes on with it"}
