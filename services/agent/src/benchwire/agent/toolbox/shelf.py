"""The session's own directory: a shell in it, and its files."""

import asyncio
from typing import Annotated

from msgspec import Meta

from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.toolbox.inputs import Input, tool
from benchwire.agent.toolbox.place import Place
from benchwire.agent.tools import files, shell

MAX_LISTED = 500

PathInside = Annotated[str, Meta(description="relative to the session's directory")]


class Bash(Input, frozen=True, kw_only=True):
    """Runs a command with bash in the session's directory. There is no network. Everything it starts ends with it."""

    command: str
    timeout_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description=f"after which the command is ended; at most {shell.MAX_TIMEOUT_S:g}"),
    ] = None


class ReadFile(Input, frozen=True, kw_only=True):
    """Reads a text file of the session's directory."""

    path: PathInside


class WriteFile(Input, frozen=True, kw_only=True):
    """Writes a text file in the session's directory, with the folders it needs."""

    path: PathInside
    content: str


class EditFile(Input, frozen=True, kw_only=True):
    """Replaces a text in a file of the session's directory. It has to occur exactly once, unless everywhere is true."""

    path: PathInside
    old: Annotated[str, Meta(min_length=1, description="what stands there now, exactly")]
    new: str
    everywhere: bool = False


class ListFiles(Input, frozen=True, kw_only=True):
    """Lists the files of the session's directory with their sizes in bytes."""


def tools(calls: Calls, place: Place) -> list[Tool]:
    """Those that work in the session's directory."""

    async def bash(asked: Bash, _: str) -> str:
        limit_s = asked.timeout_s or place.timeout_s
        ran = await shell.run(asked.command, workdir=place.workdir, sandbox=place.sandbox, timeout_s=limit_s)
        return str(ran)

    async def read_file(asked: ReadFile, _: str) -> str:
        return await asyncio.to_thread(files.read, place.workdir, asked.path)

    async def write_file(asked: WriteFile, _: str) -> str:
        return f"{await asyncio.to_thread(files.write, place.workdir, asked.path, asked.content)} bytes written"

    async def edit_file(asked: EditFile, _: str) -> str:
        count = await asyncio.to_thread(
            files.edit, place.workdir, asked.path, asked.old, asked.new, everywhere=asked.everywhere
        )
        return f"replaced {count} time(s)"

    async def list_files(_asked: ListFiles, _: str) -> str:
        found = await asyncio.to_thread(files.listed, place.workdir, most=MAX_LISTED)
        lines = [f"{path} ({size})" for path, size in found[:MAX_LISTED]]
        more = [f"[only the first {MAX_LISTED} files are shown]"] if len(found) > MAX_LISTED else []
        return "\n".join([*lines, *more]) or "there are no files yet"

    return [
        tool(calls, "bash", Bash, bash),
        tool(calls, "read_file", ReadFile, read_file, repeatable=True),
        tool(calls, "write_file", WriteFile, write_file, repeatable=True),
        tool(calls, "edit_file", EditFile, edit_file),
        tool(calls, "list_files", ListFiles, list_files, repeatable=True),
    ]
