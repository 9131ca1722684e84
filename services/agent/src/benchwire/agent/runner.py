"""One session: the model speaks and uses tools until it is done; the SDK's tool runner has the loop, the log has every step."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchwire.agent.blueprint import Blueprint, why_not
from benchwire.agent.claim import Claim
from benchwire.agent.endpoint import NOT_CONFIGURED, Endpoint
from benchwire.agent.errors import ModelFailed
from benchwire.agent.folders import Folders
from benchwire.agent.sandbox import Sandbox
from benchwire.agent.session import Session, conversation, prompt
from benchwire.agent.settings import Settings
from benchwire.events.session import (
    MessageSent,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStarted,
)

SYSTEM = (
    "You work in a hardware lab, in a directory of your own, with the tools you are given. There is no network. "
    "Do what is asked, check it, and end with a short account of what you did and what came of it."
)

End = SessionEnded | SessionFailed
BlueprintOf = Callable[[str], Awaitable[Blueprint | None]]


class Runner:
    """Runs sessions with one model and one sandbox. ``blueprint_of`` looks up the blueprint of an agent."""

    def __init__(
        self,
        settings: Settings,
        endpoint: Endpoint | None,
        sandbox: Sandbox,
        blueprint_of: BlueprintOf,
        folders: Folders,
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._endpoint = endpoint
        self._sandbox = sandbox
        self._blueprint_of = blueprint_of

    async def run(self, session: Session, claim: Claim) -> End:
        """Runs ``session`` from where it stands; returns the event that ends it, not yet written.

        Raises ``ClaimLost``, ``LogUnavailable`` and ``EventTooLarge``. A cancel closes the model's stream and ends what a tool runs.
        """
        request = session.request
        assert request is not None, "a claim stands after a request"
        await self._started(session, request, claim)
        if self._endpoint is None:
            return SessionFailed(timestamp=_now(), session_id=request.session_id, reason=NOT_CONFIGURED)
        workdir = self._folders.of(request.session_id)
        try:
            await asyncio.to_thread(workdir.mkdir, parents=True, exist_ok=True)
            problem = await self._converse(self._endpoint, session, request, claim, workdir)
        except ModelFailed as error:
            problem = str(error)
        except OSError as error:
            problem = f"the agent runner could not work on it: {error}"
        if problem is None:
            return SessionEnded(timestamp=_now(), session_id=request.session_id, session_name=request.session_name)
        return SessionFailed(timestamp=_now(), session_id=request.session_id, reason=problem)

    async def _started(self, session: Session, request: SessionRequested, claim: Claim) -> None:
        await claim.settle(
            SessionStarted(
                timestamp=_now(), session_id=request.session_id, session_name=request.session_name,
                project_dir=request.project_dir, agent_name=request.agent_name, parent_session_name=request.parent_session_name,
                parent_session_id=request.parent_session_id,
            )
        )  # fmt: skip
        if not session.prompt_sent:
            await claim.append(
                MessageSent(
                    timestamp=_now(),
                    session_id=request.session_id,
                    session_name=request.session_name,
                    **prompt(request),
                )
            )

    async def _converse(
        self, endpoint: Endpoint, session: Session, request: SessionRequested, claim: Claim, workdir: Path
    ) -> str | None:
        """None when the model came to its end, else why it did not. Raises ``ModelFailed``."""
        messages: Any = conversation(session)
        if not messages:
            return "the session has no prompt"
        if messages[-1]["role"] == "assistant":
            return None  # the last answer was whole when the runner before was interrupted
        blueprint = await self._blueprint_of(request.agent_name) if request.agent_name else None
        if request.agent_name and (problem := why_not(blueprint, request.agent_name)) is not None:
            return problem
        system = (blueprint.system_prompt if blueprint is not None else None) or SYSTEM
        owner = f"{self._settings.runner}/{request.session_id}"
        model = (await endpoint.model()).named(request.model)
        from benchwire.agent import toolbox, turns  # noqa: PLC0415 - now that their SDK has been loaded, beside the event loop

        calls = toolbox.Calls(claim, request.session_id)
        tools = toolbox.toolbox(calls, workdir, self._sandbox, timeout_s=self._settings.shell_timeout_s, owner=owner)
        return await turns.taken(model, messages, tools, calls, system=system, request=request, claim=claim)


def _now() -> datetime:
    return datetime.now(UTC)
