"""A session's tools for documents, with a real document store."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from anthropic.lib.tools import ToolError

from benchwire.agent.sessions.calls import Tool
from benchwire.documents.testing import serving
from benchwire.events import nats_server
from benchwire.events.testing.eventually import eventually

OpenTools = Callable[..., AbstractAsyncContextManager[dict[str, Tool]]]


async def refused(tool: Tool, **given: object) -> str:
    with pytest.raises(ToolError) as told:
        await tool.call(given)
    return str(told.value)


async def test_a_session_pushes_searches_and_reads_documents(
    nats: nats_server.Server, tmp_path: Path, tools: OpenTools
) -> None:
    text = "the heron blinks\n" * 1000
    async with serving(nats.url, tmp_path / "data") as service, tools() as tool:
        await tool["write_file"].call({"path": "out/notes.md", "content": text})
        given = {"name": "notes.md", "path": "out/notes.md", "tags": ["birds"]}
        pushed = json.loads(await tool["push_document"].call(given))
        again = [json.loads(str(await tool["push_document"].do(given, "toolu_1")))["document_id"] for _ in range(2)]
        assert again[0] == again[1] != pushed["document_id"], "one document for one call, however often it is made"
        async with httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as http:
            assert (await http.get(f"/documents/{pushed['document_id']}")).text == text
            (link, *_) = (await http.get(f"/documents/{pushed['document_id']}/metadata")).json()["links"]
            assert link["to"] == "session:s"

        async def found() -> bool:
            return "blinks" in str(await tool["search_documents"].call({"query": "heron", "tags": ["birds"]}))

        await eventually(found, within_s=20, what="the words to be found")
        assert await tool["search_documents"].call({"query": "walrus"}) == "no document is like that"
        read = tool["read_document"]
        document = {"document_id": pushed["document_id"]}
        assert await read.call({**document, "max_chars": 9}) == "the heron\n[it goes on: offset 9 is next]"
        assert await read.call({**document, "offset": len(text) - 7}) == "blinks\n\n[that is its end]"
        assert "ends before character" in await read.call({**document, "offset": len(text) + 1})
        assert "no document" in await refused(read, document_id="doc_none")
        built = json.loads(
            await tool["build_firmware"].call(
                {
                    "profile": "stm32f103",
                    "sources": {"main.c": '#include "board.h"\nint main(void) { board_init(); for (;;) {} }'},
                }
            )
        )
        image = json.loads(await tool["push_document"].call({"name": "image.bin", "build": built["build"]}))
        assert "is binary" in await read.call({"document_id": image["document_id"]})
        sheet = {"profile": "stm32f103", "image": {"digest": image["digest"], "size_bytes": 1}, "elf": {}}
        forged = json.dumps(sheet | {"elf": sheet["image"]})
        own = json.loads(await tool["push_document"].call({"name": "build.json", "text": forged}))
        assert "is no build" in await refused(tool["simulate_firmware"], build=own["digest"])
        assert "no document" in await tool["search_documents"].call({"query": "-a " * 600})
        assert "'no tag' cannot be a tag" in await refused(tool["push_document"], name="a", text="b", tags=["no tag"])
        assert "one of path, text and build" in await refused(tool["push_document"], name="a")
        assert "not inside the session's directory" in await refused(
            tool["push_document"], name="a", path="/etc/passwd"
        )


async def test_without_a_document_store_the_model_is_told_so(tools: OpenTools) -> None:
    async with tools() as tool:
        assert "is that service running?" in await refused(tool["search_documents"], query="heron")
