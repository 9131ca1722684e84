"""A task's events as a cassette: what was asked, the plan, and what was written for each node, with what compiler, simulator and tests said. Pure.

The log has the sources that were made, not the words around them: an answer is played as these sources, each in a fenced block.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from benchwire.deploy.recording import NotRecordable
from benchwire.deploy.scripted.cassette import VERSION, Cassette, Conversation, End, Result, Spoken, TaskAsked
from benchwire.deploy.scripted.wire import Usage
from benchwire.events.event import Event
from benchwire.events.task import (
    NodeCompiled,
    NodeDeployed,
    NodeGenerated,
    NodeRetried,
    NodeSimulated,
    NodeSpec,
    NodeTested,
    TaskCancelled,
    TaskFailed,
    TaskFinished,
    TaskPlanned,
    TaskRequested,
)

CODE = "code"
NO_SOURCES = "(The answer that was recorded here had no sources in it; what it said instead is not in the log.)"

_DESIGNED = ("node_id", "board", "description", "assertions", "expect")


def cassette_of(events: Sequence[Event]) -> Cassette:
    """The cassette of a task. Raises ``NotRecordable``."""
    own = _Reader()
    for event in events:
        own.take(event)
    if own.request is None:
        raise NotRecordable("the log has no task of that id")
    request = own.request
    return Cassette(
        cassette=VERSION,
        about=f"a {request.kind} task: {request.prompt or 'nodes that were handed in'}",
        recorded_from=request.task_id,
        recorded_at=request.timestamp.isoformat(),
        model=own.model,
        request=TaskAsked(body=_body(request)),
        end=own.end,
        conversation=own.conversations(),
    )


def _body(request: TaskRequested) -> dict[str, Any]:
    """What ``POST /tasks`` would be told, also where it is what that takes for granted today."""
    fields = [name for name in request.__struct_fields__ if name not in ("timestamp", "task_id")]
    told = {name: msgspec.to_builtins(getattr(request, name)) for name in fields}
    return {name: value for name, value in told.items() if value is not None}


class _Reader:
    """Takes the events of one task in their order."""

    def __init__(self) -> None:
        self.request: TaskRequested | None = None
        self.model = ""
        self.end: End | None = None
        self._plan: Conversation | None = None
        self._nodes: dict[str, NodeSpec] = {}
        self._turns: dict[str, list[Spoken]] = {}
        self._tries: dict[str, int] = {}

    def conversations(self) -> list[Conversation]:
        """The plan's, then one for each node that the model wrote."""
        assert self.request is not None
        nodes = [
            Conversation(name=name, contains=_marks(self._nodes[name], self.request), turn=turns)
            for name, turns in self._turns.items()
            if turns and name in self._nodes
        ]
        return [*([self._plan] if self._plan else []), *nodes]

    def take(self, event: Event) -> None:  # noqa: C901 - one line per kind of event
        """One event."""
        match event:
            case TaskRequested():
                self.request = event
            case TaskPlanned():
                self._planned(event)
            case NodeGenerated(model=str()):
                self._generated(event)
            case NodeRetried(stage="generate"):
                self._no_sources(event)
            case NodeCompiled():
                self._came(event.node_id, Result(name="compile", output="builds" if event.ok else event.diagnostics))
            case NodeSimulated():
                self._came(event.node_id, Result(name="simulate", output=_simulated(event)))
            case NodeTested():
                self._came(event.node_id, Result(name="test", output=_tested(event)))
            case NodeDeployed():
                self._came(event.node_id, Result(name="deploy", output=event.line))
            case TaskFinished():
                self.end = End(status="finished")
            case TaskFailed():
                self.end = End(status="failed", reason=event.reason)
            case TaskCancelled():
                self.end = End(status="cancelled", reason=event.reason)

    def _planned(self, event: TaskPlanned) -> None:
        assert self.request is not None
        self._nodes = {one.node_id: one for one in event.nodes}
        if event.model is None:
            return
        self.model = event.model
        answer = _outline(event) if self.request.kind == CODE else _design(event)
        turn = Spoken(
            text=msgspec.json.format(msgspec.json.encode(answer)).decode(), usage=_usage(event), stop_reason="end_turn"
        )
        self._plan = Conversation(name="plan", structured=True, repeats=True, turn=[turn])

    def _generated(self, event: NodeGenerated) -> None:
        assert self.request is not None
        self.model = self.model or event.model or ""
        language = "python" if self.request.kind == CODE else "c"
        text = "\n\n".join(_fenced(f"{language} {name}", source) for name, source in event.sources.items())
        self._add(event.node_id, event.iteration, Spoken(text=text, usage=_usage(event), stop_reason="end_turn"))

    def _no_sources(self, event: NodeRetried) -> None:
        node = self._nodes.get(event.node_id)
        if node is not None and node.sources is None and self._tries.get(event.node_id) != event.iteration:
            self._add(event.node_id, event.iteration, Spoken(text=NO_SOURCES, stop_reason="end_turn"))

    def _add(self, node_id: str, iteration: int, turn: Spoken) -> None:
        self._turns.setdefault(node_id, []).append(turn)
        self._tries[node_id] = iteration

    def _came(self, node_id: str, result: Result) -> None:
        turns = self._turns.get(node_id)
        if turns:
            turns[-1] = replace(turns[-1], results=[*turns[-1].results, result])


def _marks(node: NodeSpec, request: TaskRequested) -> list[str]:
    """What every request for this node holds, and none for another: the words that the authors of nodes begin with, and what it has to do."""
    about = node.description.strip()
    if request.kind == CODE:
        return [f"Write {node.node_id}:\n{about}\n"]
    return [f"Board profile: {node.board}\n", f"Write this firmware:\n{about}\n"]


def _outline(event: TaskPlanned) -> dict[str, Any]:
    """The plan of a program as its model was asked for it."""
    modules = [
        {"name": one.node_id, "description": one.description, "depends_on": list(one.depends_on)} for one in event.nodes
    ]
    return {"summary": event.summary, "modules": modules}


def _design(event: TaskPlanned) -> dict[str, Any]:
    """The design of a system as its model was asked for it."""
    nodes = [{name: msgspec.to_builtins(getattr(node, name)) for name in _DESIGNED} for node in event.nodes]
    return {"summary": event.summary, "nodes": nodes, "links": msgspec.to_builtins(event.links)}


def _fenced(info: str, source: str) -> str:
    longest = max((len(one) for one in re.findall(r"`{3,}", source)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{info}\n{source.rstrip()}\n{fence}"


def _usage(event: TaskPlanned | NodeGenerated) -> Usage:
    return Usage(input_tokens=event.input_tokens, output_tokens=event.output_tokens)


def _simulated(event: NodeSimulated) -> str:
    """What was judged; how much a board printed until then is a matter of the machine's speed."""
    judged = [f"{one.name}: {'holds' if one.passed else 'does not hold'}" for one in event.assertions]
    return "\n".join([event.outcome, *judged])


def _tested(event: NodeTested) -> str:
    counts = f"{event.tests_passed} passed, {event.tests_failed} failed"
    return f"{event.outcome}: {counts}, {event.lint_findings} findings, {event.type_errors} type errors, quality {event.quality_score:.2f}"
