"""What the tools are to their clients, and what they say before, or without, asking a lab."""

import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent

from benchwire.mcp import server
from benchwire.mcp.reach import Addresses, Reach
from benchwire.mcp.shapes import cut

NOBODY = "http://127.0.0.1:1"


def a_client() -> Client:
    """Of a server whose lab is away."""
    return Client(server.made(Reach(lambda: Addresses(NOBODY, NOBODY), token="")))


async def told(tool: str, **arguments: object) -> str:
    async with a_client() as client:
        answer = await client.call_tool(tool, arguments)
    assert isinstance(answer, CallToolResult)
    assert answer.is_error
    [said] = answer.content
    assert isinstance(said, TextContent)
    return said.text


async def test_every_tool_says_what_it_does_takes_and_gives_and_whether_it_may_break_something() -> None:
    async with a_client() as client:
        tools = (await client.list_tools()).tools
    assert len(tools) > 25
    for one in tools:
        assert one.description, one.name
        assert one.output_schema is not None, one.name
        assert one.input_schema["additionalProperties"] is False, one.name
        assert one.annotations is not None, one.name
        assert one.annotations.read_only_hint is not None, one.name
    harmless = {one.name for one in tools if one.annotations is not None and one.annotations.read_only_hint}
    assert {"list_devices", "get_task", "wait_for_line", "read_document", "list_approvals"} <= harmless
    breaking = {one.name for one in tools if one.annotations is not None and one.annotations.destructive_hint}
    assert {"flash_device", "cancel_task", "stop_session", "decide_approval", "reset_device"} <= breaking


async def test_whole_documents_and_results_are_resources() -> None:
    async with a_client() as client:
        templates = (await client.list_resource_templates()).resource_templates
    assert {one.uri_template for one in templates} == {
        "benchwire://documents/{document_id}",
        "benchwire://tasks/{task_id}/results",
        "benchwire://tasks/{task_id}/log",
    }


async def test_a_lab_that_is_away_is_told_of_with_what_to_do() -> None:
    assert f"no lab answers at {NOBODY}" in await told("list_devices")
    assert f"the document store at {NOBODY} does not answer" in await told("search_documents", query="a")


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("flash_device", {"device": "b"}, "one of document_id, artifact_id, content_base64 and content_text"),
        ("flash_device", {"device": "b", "document_id": "d", "artifact_id": "a"}, "one of document_id"),
        ("flash_device", {"device": "b", "content_base64": "%"}, "content_base64: it is not base64"),
        # passed over, it would flash a board that somebody else has
        ("flash_device", {"device": "b", "document_id": "d", "lease": "lease_1"}, "lease"),
        ("push_document", {"name": "a"}, "text or content_base64"),
        ("push_document", {"name": "a", "content_base64": "%"}, "content_base64: it is not base64"),
        ("wait_for_task", {"task_id": "t", "wait_s": 1e9}, "wait_s"),
        ("start_firmware_task", {"prompt": "p", "nodes": [{"node_id": "a", "bord": "x"}]}, "bord"),
    ],
)
async def test_a_call_that_cannot_be_meant_so_is_refused_with_the_reason(
    tool: str, arguments: dict[str, object], sentence: str
) -> None:
    assert sentence in await told(tool, **arguments)


def test_of_a_long_text_the_end_is_shown_and_how_much_is_missing() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 3) == "[3 characters before this are not shown]\ndef"
