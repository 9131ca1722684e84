"""A session as the log has it, kept up to date with what its runner writes: what the model is sent is what another runner would send."""

from datetime import UTC, datetime
from typing import TypeVar

from benchwire.agent import session as sessions
from benchwire.agent.claim import Claim
from benchwire.agent.session import Session
from benchwire.events.event import Event
from benchwire.events.session import SessionRequested

Published = TypeVar("Published", bound=Event)


class Transcript:
    """One session under its ``claim``; ``session`` is how it stands."""

    def __init__(self, claim: Claim, session: Session) -> None:
        assert session.request is not None, "a claim stands after a request"
        self.claim = claim
        self.session = session
        self.request: SessionRequested = session.request

    @property
    def session_id(self) -> str:
        """Whose it is."""
        return self.request.session_id

    async def write(self, event: Event) -> int:
        """Writes ``event`` to the log, and returns its sequence. Raises ``ClaimLost``, ``LogUnavailable`` and ``EventTooLarge``."""
        event = self.published(event)
        sequence = await self.claim.append(event)
        self.saw(event)
        return sequence

    def published(self, event: Published) -> Published:
        """``event`` as the log will have it."""
        return self.claim.log.published(event)

    def saw(self, event: Event) -> None:
        """Takes in what somebody else wrote."""
        self.session = sessions.evolve(self.session, event)


def now() -> datetime:
    """The time of an event that is about to be written."""
    return datetime.now(UTC)
