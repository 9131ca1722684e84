"""What a server's tools answered, as the model gets it: within bounds, and without what no one is to see."""

import base64
from collections.abc import Callable
from typing import Any

from benchwire.agent.sessions.calls import Output

MAX_TEXT_CHARS = 64 * 1024
MAX_IMAGE_CHARS = 512 * 1024  # in base64; an event has to stay under 1 MiB
# How base64 of these begins. The API refuses a picture that is none, and with it the conversation, each time anew.
_BEGINNINGS = {
    "image/png": ("iVBORw0KGg",),
    "image/jpeg": ("/9j/",),
    "image/gif": ("R0lGODdh", "R0lGODlh"),
    "image/webp": ("UklGR",),
    "application/pdf": ("JVBERi",),
}

Hidden = Callable[[str], str]


def shown(result: Any, hidden: Hidden) -> Output:
    """A text if it is nothing else; ``result`` is as the SDK's helpers give it, ``hidden`` takes secrets out of a text."""
    if isinstance(result, str):
        return cut(hidden(result))
    blocks = [_block(dict(one), hidden) for one in result]
    if all(one["type"] == "text" for one in blocks):
        return cut("\n".join(one["text"] for one in blocks))
    return [one for one in blocks if one.get("text") != ""]  # the API takes no empty ones


def cut(text: str) -> str:
    """As much of ``text`` as is shown."""
    left_out = len(text) - MAX_TEXT_CHARS
    return text if left_out <= 0 else f"{text[:MAX_TEXT_CHARS]}\n[{left_out} more characters are not shown]"


def _block(block: dict[str, Any], hidden: Hidden) -> dict[str, Any]:
    if block.get("type") == "text":
        return {"type": "text", "text": cut(hidden(str(block["text"])))}
    source = dict(block.get("source") or {})
    data = str(source.get("data", ""))
    if source.get("type") == "text":
        return {"type": "text", "text": cut(hidden(data))}
    problem = _problem(data, str(source.get("media_type", "")))
    if problem is not None:
        instead = f"[{block.get('type')} of {len(data) * 3 // 4} bytes, which cannot be shown: {problem}]"
        return {"type": "text", "text": instead}
    return {"type": block["type"], "source": source}


def _problem(data: str, kind: str) -> str | None:
    """Why a picture or a document cannot be shown."""
    if len(data) > MAX_IMAGE_CHARS:
        return "that is too large"
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        return "it is no base64"
    return None if data.startswith(_BEGINNINGS.get(kind, ())) else f"it is no {kind[:40]}"
