"""A session's files, as its tools see them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from anthropic.lib.tools import ToolError

from benchwire.agent.sessions.calls import Tool

OpenTools = Callable[..., AbstractAsyncContextManager[dict[str, Tool]]]


async def refused(tool: Tool, **given: object) -> str:
    with pytest.raises(ToolError) as told:
        await tool.call(given)
    return str(told.value)


async def test_files_are_written_edited_listed_and_seen_by_the_shell(tools: OpenTools) -> None:
    async with tools() as tool:
        assert await tool["list_files"].call({}) == "there are no files yet"
        await tool["write_file"].call({"path": "a/b.txt", "content": "one two two"})
        assert "2 times" in await refused(tool["edit_file"], path="a/b.txt", old="two", new="2")
        assert "does not hold" in await refused(tool["edit_file"], path="a/b.txt", old="three", new="3")
        assert await tool["edit_file"].call({"path": "a/b.txt", "old": "one", "new": "1"}) == "replaced 1 time(s)"
        given = {"path": "a/b.txt", "old": "two", "new": "2", "everywhere": True}
        assert await tool["edit_file"].call(given) == "replaced 2 time(s)"
        assert await tool["bash"].call({"command": "cat a/b.txt; ln -s /etc/passwd c"}) == "1 2 2\n[exit code 0]"
        assert await tool["list_files"].call({}) == "a/b.txt (5)", "without links"
        assert "links are not followed" in await refused(tool["edit_file"], path="c", old="root", new="me")
        assert "unknown field" in await refused(tool["read_file"], path="a/b.txt", lines=3)
        await tool["write_file"].call({"path": "many", "content": "a" * 100_000})
        grown = await refused(tool["edit_file"], path="many", old="a", new="b" * 100_000, everywhere=True)
        assert "10000000000 characters" in grown


async def test_a_command_is_given_some_time(tools: OpenTools) -> None:
    async with tools() as tool:
        for timeout_s in (-1, 0, float("nan")):
            assert "> 0" in await refused(tool["bash"], command="true", timeout_s=timeout_s)
