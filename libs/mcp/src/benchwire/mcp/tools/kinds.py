"""Kinds of tools, as clients are told of them, and arguments that several have."""

from collections.abc import Callable
from typing import Annotated, Any

from mcp.server.mcpserver.tools import Tool
from mcp.types import ToolAnnotations
from pydantic import Field

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
_CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)

DeviceName = Annotated[str, Field(description="the board's device_id, as list_devices shows it", max_length=128)]
Host = Annotated[
    str | None, Field(description="the board's host; needed only when two hosts have a board of that name")
]
Profile = Annotated[str | None, Field(description="a board profile, such as stm32f405 or esp32c3")]
Labels = Annotated[dict[str, str], Field(description="labels that the board has to have, all of them")]
LeaseId = Annotated[str | None, Field(description="the lease under which the board is had, when it is leased")]
TaskId = Annotated[str, Field(description="a task's id", max_length=128)]
SessionId = Annotated[str, Field(description="a session's id", max_length=128)]


def reads(ask: Callable[..., Any]) -> Tool:
    """A tool that changes nothing."""
    return _tool(ask, _READS)


def adds(ask: Callable[..., Any]) -> Tool:
    """A tool that begins something new, and takes nothing away."""
    return _tool(ask, _ADDS)


def changes(ask: Callable[..., Any]) -> Tool:
    """A tool that ends, overwrites or decides something, or acts on hardware."""
    return _tool(ask, _CHANGES)


def _tool(ask: Callable[..., Any], annotations: ToolAnnotations) -> Tool:
    made = Tool.from_function(ask, annotations=annotations, structured_output=True)
    # An argument that nobody knows would be passed over, and something else be done than was meant.
    arguments = made.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    made.description = " ".join(made.description.split())
    made.parameters = arguments.model_json_schema(by_alias=True)
    return made
