"""One session: what it may use and spend is looked up, and its conversation runs until it is done or may not go on; the log has every step."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from functools import partial

import msgspec

from benchwire.agent.blueprint import Blueprint, why_not
from benchwire.agent.claim import Claim
from benchwire.agent.errors import GivenUp, ModelFailed, ToolFailed
from benchwire.agent.lab import Lab
from benchwire.agent.model.endpoint import NOT_CONFIGURED, Endpoint
from benchwire.agent.session import Session
from benchwire.agent.sessions import budget as budgets
from benchwire.agent.sessions.conversation import prompt
from benchwire.agent.sessions.folders import Folders
from benchwire.agent.sessions.transcript import Transcript, now
from benchwire.agent.settings import Settings
from benchwire.agent.work import Work
from benchwire.events.prices import Prices
from benchwire.events.session import Budget, MessageSent, SessionFailed, SessionRequested, SessionStarted

SYSTEM = (
    "You work in a hardware lab, in a directory of your own, with the tools you are given. There is no network. "
    "Do what is asked, check it, and end with a short account of what you did and what came of it."
)


class _Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is run with."""

    blueprint: Blueprint | None
    budget: Budget
    model: str


class Runner:
    """Runs sessions in one lab, with one model; ``prices`` are for budgets in dollars."""

    def __init__(
        self,
        settings: Settings,
        endpoint: Endpoint | None,
        lab: Lab,
        folders: Folders,
        prices: Prices,
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._endpoint = endpoint
        self._lab = lab
        self._prices = prices

    async def run(self, session: Session, claim: Claim, work: Work) -> SessionFailed | None:
        """Runs ``session`` from where it stands; returns why it failed, not yet written, and None when it has ended, which is.

        Raises ``ClaimLost``, ``LogUnavailable`` and ``EventTooLarge``. A cancel closes the model's stream and ends what a tool runs.
        """
        transcript = Transcript(claim, session)
        await self._started(transcript)
        try:
            await self._talked(transcript, work)
        except GivenUp as problem:
            return _failed(transcript, problem, problem.code)
        except ModelFailed as problem:
            return _failed(transcript, problem, "model")
        except ToolFailed as problem:
            return _failed(transcript, problem, "agent")
        except OSError as problem:
            return _failed(transcript, f"the agent runner could not work on it: {problem}", "agent")
        return None

    async def _started(self, transcript: Transcript) -> None:
        request = transcript.request
        await transcript.claim.settle(
            SessionStarted(
                timestamp=now(), session_id=request.session_id, session_name=request.session_name,
                project_dir=request.project_dir, agent_name=request.agent_name, parent_session_name=request.parent_session_name,
                parent_session_id=request.parent_session_id,
            )
        )  # fmt: skip
        if not transcript.session.prompt_sent:
            await transcript.write(
                MessageSent(
                    timestamp=now(), session_id=request.session_id, session_name=request.session_name,
                    message_id=request.message_id, **prompt(request),
                )
            )  # fmt: skip

    async def _talked(self, transcript: Transcript, work: Work) -> None:
        if self._endpoint is None:
            raise GivenUp(NOT_CONFIGURED, "model")
        terms = await self._terms(transcript.request, self._endpoint.name)
        async with _within(terms.budget, transcript):
            await self._conversed(self._endpoint, transcript, work, terms)

    async def _terms(self, request: SessionRequested, model: str) -> _Terms:
        blueprint = await self._lab.blueprint(request.agent_name) if request.agent_name else None
        if request.agent_name and (problem := why_not(blueprint, request.agent_name)) is not None:
            raise GivenUp(problem, "agent")
        budget = budgets.tighter(request.budget, blueprint.budget if blueprint else None)
        model = request.model or (blueprint.model if blueprint else None) or model
        budgets.check_price(budget, model, self._prices)
        return _Terms(blueprint=blueprint, budget=budget, model=model)

    async def _conversed(self, endpoint: Endpoint, transcript: Transcript, work: Work, terms: _Terms) -> None:
        workdir = self._folders.of(transcript.session_id)
        await asyncio.to_thread(workdir.mkdir, parents=True, exist_ok=True)
        model = (await endpoint.model()).named(terms.model)
        from benchwire.agent import toolbox  # noqa: PLC0415 - now that their SDK has been loaded, beside the event loop
        from benchwire.agent.sessions import calls, turns  # noqa: PLC0415 - as above

        request, blueprint = transcript.request, terms.blueprint
        ask_before = {*request.ask_before, *(blueprint.ask_before if blueprint else ())}
        rules = calls.Rules(
            ask_before=frozenset(ask_before), timeout_s=self._settings.tool_timeout_s,
            ask_expires_s=blueprint.ask_expires_s if blueprint else calls.ASK_EXPIRES_S,
        )  # fmt: skip
        made = calls.Calls(transcript, work, rules)
        place = toolbox.Place(
            request=request, blueprint=blueprint, workdir=workdir, sandbox=self._lab.sandbox, lab=self._lab,
            claim=transcript.claim, work=work, owner=f"{self._settings.runner}/{request.session_id}",
            timeout_s=self._settings.shell_timeout_s,
        )  # fmt: skip
        system = "\n\n".join(
            filter(None, [(blueprint.system_prompt if blueprint else None) or SYSTEM, await toolbox.briefing(place)])
        )
        async with toolbox.opened(made, place) as tools:
            affordable = partial(self._check, transcript, terms)
            await turns.Turns(model, tools, made, transcript, work, system=system, affordable=affordable).run()

    def _check(self, transcript: Transcript, terms: _Terms) -> None:
        """Raises ``GivenUp`` when the model must not be asked once more."""
        session, most = transcript.session, transcript.request.max_turns
        if session.turns >= most:
            raise GivenUp(f"the session used all of its {most} turns", "max_turns")
        budgets.check(terms.budget, session.used, model=terms.model, prices=self._prices)


@contextlib.asynccontextmanager
async def _within(budget: Budget, transcript: Transcript) -> AsyncGenerator[None, None]:
    """Breaks off what runs when the session's time is up. Raises ``GivenUp`` then."""
    began_at = transcript.session.began_at
    assert began_at is not None, "a claim is the beginning"
    clock = asyncio.timeout(budgets.wall_left_s(budget, began_at, now()))
    try:
        async with clock:
            yield
    except TimeoutError:
        if clock.expired():
            raise budgets.wall_is_up(budget) from None
        raise


def _failed(transcript: Transcript, reason: object, code: str) -> SessionFailed:
    return SessionFailed(timestamp=now(), session_id=transcript.session_id, reason=str(reason), code=code)
