"""Makes what a model, a tool or a compiler said fit into an event: no longer than the log takes, and nothing that is no Unicode."""

from typing import Any

import msgspec

from benchwire.events.event import Event

MAX_REASON_CHARS = 64 * 1024
MAX_RESULT_BYTES = 900_000  # of a call and its result together, as JSON: an event has room for 1 MiB
_LEAST_BYTES = 1000


def well_formed(value: Any) -> Any:
    """``value``, which is as JSON has it, with a question mark for each half of a surrogate pair: JSON may hold one, no log takes it."""
    match value:
        case str():
            return value if value.isascii() else value.encode(errors="replace").decode()
        case list():
            return [well_formed(one) for one in value]
        case dict():
            return {well_formed(key): well_formed(one) for key, one in value.items()}
        case _:
            return value


def result(output: str | list[dict[str, Any]], given: dict[str, Any]) -> str | list[dict[str, Any]]:
    """What a tool answered to the input ``given``, cut with a note when both together are too much for one event."""
    room = max(_LEAST_BYTES, MAX_RESULT_BYTES - _size(given))
    output = well_formed(output)
    if _size(output) <= room:
        return output
    if isinstance(output, str):
        return cut(output, room)
    texts = [str(block["text"]) for block in output if block.get("type") == "text"]
    note = f"[{len(output) - len(texts)} block(s) that are no text, of {_size(output)} bytes in all, are left out: that is too much]"
    return cut("\n".join([*texts, note]), room)


def cut(text: str, room: int) -> str:
    """The beginning of ``text`` that takes at most about ``room`` bytes as JSON, with a note when it is not all of it."""
    if _size(text) <= room:
        return text
    # A character may take six bytes; how many of them do is seen from a piece that fits in any case, and then from a longer one.
    kept = room // 6
    while kept < len(text) and (longer := min(len(text), kept + kept // 2)) > kept and _size(text[:longer]) <= room:
        kept = longer
    return f"{text[:kept]}\n[only the first {kept} of {len(text)} characters are shown]"


def end(event: Event) -> Event:
    """An event that has to be written, whatever its ``reason`` holds."""
    reason = getattr(event, "reason", None)
    if reason is None:
        return event
    if len(reason) > MAX_REASON_CHARS:
        reason = f"{reason[:MAX_REASON_CHARS]} ... ({len(reason) - MAX_REASON_CHARS} more characters)"
    return msgspec.structs.replace(event, reason=well_formed(reason))


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value))
