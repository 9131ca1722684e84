"""What clients ask for: bodies of requests."""

from typing import Annotated

import msgspec
from msgspec import Meta

from benchwire.events.event import Name
from benchwire.events.task import Assertion

Prompt = Annotated[str, Meta(min_length=1, max_length=200_000)]


class CreateSession(msgspec.Struct, kw_only=True):
    """Body of ``POST /sessions``. With a ``prompt`` an agent runner takes the session."""

    session_id: Name
    session_name: Name
    project_dir: str | None = None
    agent_name: str | None = None
    parent_session_name: str | None = None
    parent_session_id: Name | None = None
    prompt: Prompt | None = None
    model: Name | None = None
    max_turns: int | None = None


class Describe(msgspec.Struct, kw_only=True):
    """Body of ``PATCH /sessions/{id}/metadata``."""

    session_name: Name | None = None
    project_dir: str | None = None
    agent_name: str | None = None


class StartNode(msgspec.Struct, kw_only=True):
    """A node of a firmware task; without a board it is for the task's."""

    node_id: str
    board: str | None = None
    description: str = ""
    assertions: list[Assertion] = []
    sources: dict[str, str] | None = None
    deploy: bool = True
    expect: str | None = None


class StartTask(msgspec.Struct, kw_only=True):
    """Body of ``POST /tasks``. A task with a board or nodes is one for firmware; one without is for code."""

    prompt: str = ""
    answers: list[str] = []
    kind: str | None = None
    board: str | None = None
    nodes: list[StartNode] = []
    max_iterations: int = 5
    simulation_timeout_s: float = 10.0


class Guide(msgspec.Struct, kw_only=True):
    """Body of ``POST /tasks/{id}/intervene``, and of the frame that says the same."""

    guidance: Name
    node_id: str | None = None
