"""What is known of documents, in lines for people."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from benchwire.deploy.story import shown, size

__all__ = ["of_list", "of_one", "shown"]


def of_list(document: Mapping[str, Any]) -> str:
    """A document among others."""
    made = datetime.fromisoformat(document["created_at"]).astimezone()
    tags = " ".join(f"#{one}" for one in document["tags"])
    first = f"{document['id']}  {made:%Y-%m-%d %H:%M}  {size(document['size_bytes']):>10}  {shown(document['filename'], 80)}"
    lines = [f"{first}  {tags}" if tags else first]
    if snippet := document.get("snippet"):
        # The marks around what was found are control characters.
        lines.append(f"    {shown(snippet.replace(chr(2), '[').replace(chr(3), ']'), 240)}")
    return "\n".join(lines)


def of_one(document: Mapping[str, Any]) -> str:
    """Everything about one document."""
    lines = [
        f"{name:13} {shown(value, 400)}"
        for name, value in document.items()
        if name not in ("metadata", "links", "linked_from", "tags", "description") and value is not None
    ]
    if document["tags"]:
        lines.append(f"{'tags':13} {' '.join(document['tags'])}")
    lines += [f"{'metadata':13} {shown(key, 80)} = {shown(value, 400)}" for key, value in document["metadata"].items()]
    lines += [f"{'link':13} {one['kind']} {_end(one, one['to'])}" for one in document["links"]]
    lines += [f"{'linked from':13} {_end(one, one['from'])} {one['kind']} this" for one in document["linked_from"]]
    return "\n".join(lines)


def _end(link: Mapping[str, Any], other: str) -> str:
    facts = [str(link[name]) for name in ("filename", "role", "device", "status") if link.get(name)]
    gone = ["gone"] if link.get("gone") else []
    return shown(f"{other} ({', '.join([*facts, *gone])})" if facts or gone else other, 300)
