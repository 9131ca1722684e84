"""What clients ask for: bodies of requests."""

from typing import Annotated

import msgspec
from msgspec import Meta

from benchwire.events.event import Name
from benchwire.events.session import Budget
from benchwire.events.task import Assertion, UartLink

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
    budget: Budget | None = None
    ask_before: list[str] = []


class Say(msgspec.Struct, kw_only=True):
    """Body of ``POST /sessions/{id}/messages``. All but the text and its id is for a session that has ended; absent, it is as before.

    ``by`` is who says it, where no token tells.
    """

    text: Prompt
    message_id: Name | None = None
    by: Name | None = None
    max_turns: int | None = None
    budget: Budget | None = None
    model: Name | None = None


class Describe(msgspec.Struct, kw_only=True):
    """Body of ``PATCH /sessions/{id}/metadata``."""

    session_name: Name | None = None
    project_dir: str | None = None
    agent_name: str | None = None


class StartNode(msgspec.Struct, kw_only=True):
    """A node of a firmware task; without a board it is for the task's. In a task for code it is a module, and ``node_id`` its file name.

    ``device`` is the board that it goes onto, by its name (on ``host``), like ``host/name``, or by its port; without one, any that is free and
    has the ``labels``. ``depends_on`` are the modules that a module imports.
    """

    node_id: str
    board: str | None = None
    description: str = ""
    assertions: list[Assertion] = []
    sources: dict[str, str] | None = None
    deploy: bool = True
    expect: str | None = None
    host: str | None = None
    device: str | None = None
    labels: dict[str, str] = {}
    depends_on: list[str] = []


class StartTask(msgspec.Struct, kw_only=True):
    """Body of ``POST /tasks``. A task with a board or nodes is one for firmware, one without is for code, unless ``kind`` says which.

    Without nodes a model plans them. With ``deploy`` false no node goes onto a board; ``links`` join the UARTs of two nodes.
    ``quality_target`` is the score that a module of code has to reach, 0 to 1.
    """

    prompt: str = ""
    answers: list[str] = []
    kind: str | None = None
    board: str | None = None
    nodes: list[StartNode] = []
    links: list[UartLink] = []
    deploy: bool = True
    max_iterations: int = 5
    simulation_timeout_s: float = 10.0
    quality_target: float = 0.8


class Guide(msgspec.Struct, kw_only=True):
    """Body of ``POST /tasks/{id}/intervene``, and of the frame that says the same."""

    guidance: Name
    node_id: str | None = None
