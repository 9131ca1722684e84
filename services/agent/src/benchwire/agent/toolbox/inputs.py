"""What a tool takes: a strict msgspec type, which is the model's schema and the check of what it sent at once."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from benchwire.agent.sessions.calls import Calls, Output, Tool

_REFS = "#/$defs/{name}"


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every tool's input is: nothing that it does not know."""


Given = TypeVar("Given", bound=Input)


def tool(
    calls: Calls,
    name: str,
    kind: type[Given],
    do: Callable[[Given, str], Awaitable[Output]],
    *,
    repeatable: bool = False,
    timeout_s: float | None = None,
) -> Tool:
    """The tool ``name``, which ``do`` serves with what the model sent and the id of its call. The model is told the docstring of ``kind``."""

    async def checked(given: dict[str, Any], use_id: str) -> Output:
        return await do(msgspec.convert(given, kind), use_id)

    return Tool(calls, name, _told(kind), schema(kind), checked, repeatable=repeatable, timeout_s=timeout_s)


def schema(kind: type[Input]) -> dict[str, Any]:
    """The JSON Schema of an input type, as the Messages API wants it: an object at its top."""
    (top,), defined = msgspec.json.schema_components([kind], ref_template=_REFS)
    named = top["$ref"].rpartition("/")[2]
    inner = {key: value for key, value in defined.pop(named).items() if key not in ("title", "description")}
    return {**inner, "$defs": defined} if defined else inner


def _told(kind: type[Input]) -> str:
    return " ".join((kind.__doc__ or "").split())
