"""What a person wants of a task, as the body of ``POST /tasks``."""

from pathlib import Path
from typing import Any

import msgspec

from benchwire.deploy import sources
from benchwire.events.task import Assertion


class BadNode(ValueError):
    """A file of a node cannot be used; the sentence names it and says what is wrong."""


class NodeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A node in a TOML file: what ``POST /tasks`` takes, and ``source``, a file or folder beside it with the sources to build as they are."""

    node_id: str
    board: str | None = None
    description: str = ""
    assertions: list[Assertion] = []
    source: str | None = None
    deploy: bool | None = None
    expect: str | None = None
    host: str | None = None
    device: str | None = None
    labels: dict[str, str] = {}
    depends_on: list[str] = []


def node_of(file: Path, *, deploy: bool) -> dict[str, Any]:
    """The node that ``file`` describes. Raises ``BadNode``, and ``BadSources`` for the sources that it names."""
    try:
        read = msgspec.toml.decode(file.read_bytes(), type=NodeFile)
    except OSError as error:
        raise BadNode(f"{file}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadNode(f"{file}: {error}") from error
    told: dict[str, Any] = msgspec.to_builtins(read)
    source = told.pop("source", None)
    if source is not None:
        told["sources"] = sources.read(file.parent / source)
    return {"deploy": deploy, **told}


def links_of(pairs: list[str]) -> list[dict[str, str]]:
    """``a:b`` and the like: nodes whose UARTs are joined. Raises ``ValueError``."""
    found = []
    for pair in pairs:
        a, _, b = pair.partition(":")
        if not a or not b:
            raise ValueError(f"--link is {pair!r}; it takes two nodes, like sensor:hub")
        found.append({"a": a, "b": b})
    return found


def code_task(prompt: str, *, answers: list[str], quality: float | None, iterations: int | None) -> dict[str, Any]:
    """A program that is planned into modules and written with its tests."""
    told = {
        "kind": "code",
        "prompt": prompt,
        "answers": answers,
        "quality_target": quality,
        "max_iterations": iterations,
    }
    return {name: value for name, value in told.items() if value is not None}


def firmware_task(
    prompt: str, *, board: str | None, nodes: list[dict[str, Any]], links: list[dict[str, str]], answers: list[str],
    deploy: bool, iterations: int | None, simulate_s: float | None,
) -> dict[str, Any]:  # fmt: skip
    """Firmware: designed from words, or as the nodes say. Raises ``ValueError`` when there is neither."""
    if not prompt and not nodes:
        raise ValueError("say what the firmware has to do, or give its nodes with --node FILE")
    told = {
        "kind": "firmware", "prompt": prompt, "answers": answers, "board": board, "nodes": nodes, "links": links, "deploy": deploy,
        "max_iterations": iterations, "simulation_timeout_s": simulate_s,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}
